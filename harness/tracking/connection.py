"""Connection to the tracking store: its default URI, the MLflow client, and explanations of its errors."""

from __future__ import annotations

import functools
import os
import re
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import sqlalchemy
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from harness.errors import InputError
from harness.tracking.relocation import adopt_artifacts

SINGLE_ATTEMPT_ENV = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "6"}
"""Environment variables for the first connection to a server: one retry, six seconds per request."""
SQLITE = "sqlite:///"
"""Start of the URI of an SQLite database; the path of its file follows."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of database URIs."""
UNUSABLE = {"?"}
"""Characters that end the path in the URI of an SQLite database."""
SCHEMAS = Path("store/db_migrations/versions")
"""Folder of MLflow with one file per known database schema; file names begin with the name of the schema."""


def default_uri(runs: Path) -> str:
    """Return the URI of the tracking store: MLFLOW_TRACKING_URI, or a database in the results folder.

    The URI is absolute. A relative URI would name a different database in every worker, because each worker has its
    own working directory.

    Raises:
        InputError: the URI is a folder, which MLflow does not support any more, or a database without a file. It is
            also raised if the path of the database cannot be written as a URI.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and (odd := set(str(runs.absolute())) & UNUSABLE):
        raise InputError(
            f"The folder of results {runs.absolute()} has {odd.pop()!r} in its path, which the address of a database "
            "cannot hold. Rename the folder, or choose another one with --runs."
        )
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(runs / 'mlflow.db').absolute()}"
    if "://" not in uri or uri.startswith("file:"):
        raise InputError(
            f"MLFLOW_TRACKING_URI={uri} is a folder, which MLflow 3.13 and later refuse. Set it to "
            "sqlite:////absolute/path.db or to the http address of a server, or unset it."
        )
    return _with_file(uri) if uri.startswith("sqlite:") else uri


def _with_file(uri: str) -> str:
    """Return the URI of an SQLite database with the path of its file made absolute.

    Raises:
        InputError: the URI names no file, so SQLite would keep the results in the memory of one process.
    """
    path, mark, options = uri.removeprefix(SQLITE).partition("?")
    in_memory = path in ("", ":memory:") or path.startswith("file:")
    if not uri.startswith(SQLITE) or in_memory or path.endswith("/") or Path(path).is_dir():
        raise InputError(
            f"MLFLOW_TRACKING_URI={uri} names no file for the database, so all results would be lost at the end. Set "
            "it to sqlite:////absolute/path.db or to the http address of a server, or unset it."
        )
    return f"{SQLITE}{Path(path).absolute()}{mark}{options}"


def check_artifact_store(address: str) -> str:
    """Check that MLflow can list artifacts at an address, and return the address.

    Raises:
        InputError: MLflow does not support the protocol, lacks a package for it, or gets no answer.
    """
    try:
        get_artifact_repository(address).list_artifacts()
    except Exception as error:
        raise InputError(
            f"Artifacts of runs cannot be stored at {address} ({_first_line(error)}). MLflow needs the package boto3 "
            "for s3:// and google-cloud-storage for gs://, and permission to read and write there. Alternatively set "
            "MLFLOW_TRACKING_URI to a tracking server, which stores artifacts itself."
        ) from error
    return address


@functools.cache
def connect(uri: str) -> MlflowClient:
    """Return a client of the tracking store, after checking that the store answers.

    The places of artifacts are corrected if the folder of a database was moved (`harness.tracking.relocation`).
    Later requests are repeated while a server is down (see `harness.runtime.environment`). The first request is not,
    because a server at a mistyped address would never answer.

    Raises:
        InputError: the store does not answer within seconds, or is not an MLflow store.
    """
    with explain_failures(uri), _asking_once():
        if uri.startswith(DATABASES):
            _open_database(uri)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        if uri.startswith(SQLITE):
            adopt_artifacts(Path(uri.removeprefix(SQLITE)))
        return client


@contextmanager
def _asking_once() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in SINGLE_ATTEMPT_ENV}
    os.environ.update(SINGLE_ATTEMPT_ENV)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _open_database(uri: str) -> None:
    """Connect to a database once; MLflow itself would repeat failing attempts for two minutes."""
    if uri.startswith(SQLITE):
        file = Path(uri.removeprefix(SQLITE).partition("?")[0])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # SQLite itself would create a file that a group cannot write, whatever the umask is
    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@contextmanager
def explain_failures(uri: str) -> Iterator[None]:
    """Turn errors of the tracking store inside the block into an explanation.

    Raises:
        InputError: the store does not answer, cannot be written, or belongs to another version of MLflow.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"The tracking store {uri} {_diagnosis(uri, error)} Finished experiments are kept."
        ) from error


def _diagnosis(uri: str, error: Exception) -> str:
    """Return what is wrong with a store and how to mend it."""
    root: BaseException = error
    while deeper := root.__cause__ or root.__context__:
        root = deeper
    said, cause = _first_line(error), _first_line(root)
    return (
        _network_cause(root)
        or _of_the_server(getattr(error, "error_code", ""), said)
        or _of_the_database(uri, root, said)
        or f"does not work ({cause}). Check that its server runs and that its disk has free space, or choose another "
        "store with MLFLOW_TRACKING_URI or --runs."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _network_cause(root: BaseException) -> str | None:
    """Explain the innermost error of a request that did not reach a server; None for other errors."""
    match root:
        case socket.gaierror():
            return f"is on an unknown host ({root}). Correct MLFLOW_TRACKING_URI."
        case ConnectionRefusedError():
            return "does not answer: no process listens there. Start the server, or correct MLFLOW_TRACKING_URI."
        case TimeoutError():
            return (
                f"does not answer in time ({root}). Start the server, open the firewall for it, or correct "
                "MLFLOW_TRACKING_URI."
            )
        case ssl.SSLError():
            return (
                f"has no trusted https certificate ({root}). Set MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate "
                "of its authority, or use http:// in MLFLOW_TRACKING_URI if the server has no https."
            )
    return None


def _of_the_server(code: str, said: str) -> str | None:
    """Explain an error that a server returned, by MLflow's error code and message; None for other errors."""
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return (
            f"refuses this user ({said}). Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, or ask its administrator for permission to write."
        )
    other = ("valid JSON", "Invalid url", "unsupported URI")
    if code == "ENDPOINT_NOT_FOUND" or any(words in said for words in other):
        return (
            f"is not an MLflow server ({said}). Correct MLFLOW_TRACKING_URI: http://host:5000, as `mlflow server` "
            "prints it, or sqlite:////absolute/path.db."
        )
    return None


def _of_the_database(uri: str, root: BaseException, said: str) -> str | None:
    """Explain the error of a database: a missing package, a wrong file, or another schema; None for other errors."""
    if isinstance(root, ModuleNotFoundError):
        return (
            f"needs the Python package {root.name}. Install the package, or choose another store."
        )
    if isinstance(root, sqlite3.DatabaseError) and "not a database" in str(root):
        return "is a file, but not a database. Move the file away, or choose another store."
    if not (found := re.search(r"database schema \(found version (\w+)", said)):
        return None
    if any((Path(mlflow.__file__).parent / SCHEMAS).glob(f"{found[1]}_*")):
        return f"was created by an older MLflow. Upgrade it: .venv/bin/mlflow db upgrade {uri}."
    return (
        f"was created by a newer MLflow than the installed {mlflow.__version__}. Install the newer one, or choose "
        "another store with MLFLOW_TRACKING_URI or --runs."
    )
