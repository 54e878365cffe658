"""What to say when the tracking store does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import InputError


@contextmanager
def must_answer(uri: str) -> Iterator[None]:
    """Ask the tracking store at an address, or write to it.

    Raises:
        InputError: it does not answer, cannot be written, or is of another version of MLflow.
    """
    try:
        yield
    except Exception as error:
        raise InputError(
            f"The tracking store {uri} does not answer ({str(error).splitlines()[0][:300]}). Start the server, make "
            "room on its disk, name another store with MLFLOW_TRACKING_URI or --runs, or bring an older database up "
            f"to date: .venv/bin/mlflow db upgrade {uri}. What is finished stays finished."
        ) from error
