"""Where the tracking store is, and what to say when it does not answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import InputError


def default_uri(runs: Path) -> str:
    """Address of the tracking store: MLFLOW_TRACKING_URI, or a database in the folder for results.

    It is absolute: a relative address would be another database in every worker, since Ray gives each its own working
    directory.

    Raises:
        InputError: the address is a folder, which MLflow no longer writes to.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / 'mlflow.db').absolute()}"
    if "://" not in uri or uri.startswith("file:"):
        raise InputError(
            f"MLFLOW_TRACKING_URI={uri} is a folder, which MLflow 3.13 and later refuse. Give "
            "sqlite:////absolute/path.db or the http address of a server, or unset it."
        )
    return uri


@contextmanager
def must_answer(uri: str) -> Iterator[None]:
    """Ask the tracking store at an address, or write to it.

    Raises:
        InputError: it does not answer, cannot be written, or is of another version of MLflow.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException = (
            error  # what the database or the network said stands behind MLflow's own errors
        )
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise InputError(
            f"The tracking store {uri} does not answer ({str(cause).splitlines()[0][:300]}). Start the server, make "
            "room on its disk, name another store with MLFLOW_TRACKING_URI or --runs, or bring an older database up "
            f"to date: .venv/bin/mlflow db upgrade {uri}. What is finished stays finished."
        ) from error
