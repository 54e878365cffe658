"""Where the tracking store is, who talks to it, and what to say when it does not answer. Knows MLflow."""

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

SINGLE_ATTEMPT_ENV = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "6"}
"""How MLflow asks a server that it does not know yet: twice, for six seconds."""
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SCHEMAS = Path("store/db_migrations/versions")
"""Where MLflow has a file for every schema of a database that it knows; its name begins with that of the schema."""


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


def check_artifact_store(address: str) -> str:
    """The address, once it has answered: artifacts can be kept there.

    Raises:
        InputError: MLflow does not know its protocol, lacks a package for it, or gets no answer.
    """
    try:
        get_artifact_repository(address).list_artifacts()
    except Exception as error:
        raise InputError(
            f"The artifacts of runs cannot be kept at {address} ({_first_line(error)}). MLflow wants the package boto3 "
            "for s3:// and google-cloud-storage for gs://, and the right to read and write there. A tracking server "
            "keeps artifacts itself: name one in MLFLOW_TRACKING_URI."
        ) from error
    return address


@functools.cache
def connect(uri: str) -> MlflowClient:
    """Who talks to the tracking store at an address, once the store has answered.

    Later requests wait for a server that is away (see `harness.runtime.environment`). Waiting for one that never
    existed, for example at a mistyped address, would be in vain.

    Raises:
        InputError: it does not answer within seconds, or not as MLflow does.
    """
    with explain_failures(uri), _asking_once():
        if uri.startswith(DATABASES):
            _open_database(uri)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
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
    """Connect to a database as MLflow will, which would try for two minutes."""
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


@contextmanager
def explain_failures(uri: str) -> Iterator[None]:
    """Ask the tracking store at an address, or write to it.

    Raises:
        InputError: it does not answer, cannot be written, or is of another version of MLflow.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"The tracking store {uri} {_diagnosis(uri, error)} What is finished stays finished."
        ) from error


def _diagnosis(uri: str, error: Exception) -> str:
    """What is wrong with a store, and what to do about it."""
    root: BaseException = error
    while deeper := root.__cause__ or root.__context__:
        root = deeper
    said, cause = _first_line(error), _first_line(root)
    return (
        _network_cause(root)
        or _of_the_server(getattr(error, "error_code", ""), said)
        or _of_the_database(uri, root, said)
        or f"does not work ({cause}). See that its server is well and its disk has room, or name another store with "
        "MLFLOW_TRACKING_URI or --runs."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _network_cause(root: BaseException) -> str | None:
    """What keeps a request from a server, by the error below all others."""
    match root:
        case socket.gaierror():
            return f"is on a machine that nobody knows ({root}). Correct MLFLOW_TRACKING_URI."
        case ConnectionRefusedError():
            return "does not answer: nothing listens there. Start the server, or correct MLFLOW_TRACKING_URI."
        case TimeoutError():
            return (
                f"does not answer in time ({root}). Start the server, open the firewall on the way to it, or correct "
                "MLFLOW_TRACKING_URI."
            )
        case ssl.SSLError():
            return (
                f"speaks no https that can be trusted ({root}). Correct MLFLOW_TRACKING_URI: http:// is without; or "
                "name the certificate of its authority in MLFLOW_TRACKING_SERVER_CERT_PATH."
            )
    return None


def _of_the_server(code: str, said: str) -> str | None:
    """What a server says, by MLflow's code and words."""
    if code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return (
            f"refuses this user ({said}). Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, or ask its administrator for the right to write."
        )
    other = ("valid JSON", "Invalid url", "unsupported URI")
    if code == "ENDPOINT_NOT_FOUND" or any(words in said for words in other):
        return (
            f"is not MLflow's ({said}). Correct MLFLOW_TRACKING_URI: http://host:5000, as `mlflow server` prints it, "
            "or sqlite:////absolute/path.db."
        )
    return None


def _of_the_database(uri: str, root: BaseException, said: str) -> str | None:
    """What a database is, and should be."""
    if isinstance(root, ModuleNotFoundError):
        return f"needs the Python package {root.name}. Install it, or name another store."
    if isinstance(root, sqlite3.DatabaseError) and "not a database" in str(root):
        return "is a file, but no database. Move it away, or name another store."
    if not (found := re.search(r"database schema \(found version (\w+)", said)):
        return None
    if any((Path(mlflow.__file__).parent / SCHEMAS).glob(f"{found[1]}_*")):
        return (
            f"was made by an older MLflow. Bring it up to date: .venv/bin/mlflow db upgrade {uri}."
        )
    return (
        f"was made by a newer MLflow than {mlflow.__version__} here. Install that one, or name another store with "
        "MLFLOW_TRACKING_URI or --runs."
    )
