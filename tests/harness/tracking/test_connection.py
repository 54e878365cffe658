"""A tracking store that cannot be used: said within seconds, each cause with its own remedy. Real sockets and files."""

import os
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.errors import InputError
from harness.tracking import Tracker
from harness.tracking.connection import SINGLE_ATTEMPT_ENV, connect, default_uri
from tests.support.commands import command


def refusal(uri):
    """What is said of a store that cannot be used."""
    with pytest.raises(InputError) as refused:
        connect(uri)
    text = str(refused.value)
    assert text.startswith(f"The tracking store {uri} ")
    return text


@contextmanager
def a_server(code, body):
    """A web server that always gives the same answer."""

    class Same(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_nobody_listens_and_nobody_is_there():
    assert "no process listens there. Start the server" in refusal("http://127.0.0.1:1")
    assert "is on an unknown host" in refusal("http://no-such-host.invalid:5000")


def requests_to(listening):
    """How many connections nobody has accepted yet."""
    listening.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            listening.accept()[0].close()
            count += 1
    return count


def test_a_server_that_is_silent_is_asked_twice_for_a_short_time(monkeypatch):
    """And whoever asks later asks as patiently as before. The short time is six seconds, here one."""
    assert SINGLE_ATTEMPT_ENV["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "6"
    monkeypatch.setitem(SINGLE_ATTEMPT_ENV, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    before = os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        text = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began < 120  # as long as MLflow itself waits for one answer
        assert requests_to(silent) == 2
    assert "does not answer in time" in text
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == before
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


@pytest.mark.parametrize(
    ("code", "body", "text"),
    [
        (401, b"You are not authenticated", "refuses this user (API request"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "MLFLOW_TRACKING_TOKEN"),
        (404, b"<html>", "is not an MLflow server"),
        (200, b"<html>", "http://host:5000, as `mlflow server` prints it"),
        (503, b"busy", "Check that its server runs"),
    ],
)
def test_servers_that_answer_otherwise_than_mlflow(code, body, text):
    with a_server(code, body) as uri:
        assert text in refusal(uri)


def test_addresses_that_are_none():
    with a_server(200, b"") as uri:
        assert "has no trusted https certificate" in refusal(uri.replace("http:", "https:"))
    assert "is not an MLflow server" in refusal("http://127.0.0.1:port")
    assert "is not an MLflow server" in refusal("carrier-pigeon://roof")


def test_a_database_of_another_version_and_what_is_none(tmp_path):
    this, old, new, junk = (tmp_path / f"{name}.db" for name in ("this", "old", "new", "junk"))
    MlflowClient(tracking_uri=f"sqlite:///{this}").search_experiments()
    for database, schema in ((old, "97727af70f4d"), (new, "ffffffffffff")):
        database.write_bytes(this.read_bytes())
        with sqlite3.connect(database) as content:
            content.execute("update alembic_version set version_num = ?", (schema,))
        content.close()
    assert f"an older MLflow. Upgrade it: .venv/bin/mlflow db upgrade sqlite:///{old}" in (
        refusal(f"sqlite:///{old}")
    )
    assert "was created by a newer MLflow than the installed 3." in refusal(f"sqlite:///{new}")
    junk.write_text("This is no database. " * 99)
    assert "is a file, but not a database" in refusal(f"sqlite:///{junk}")
    assert "does not work" in refusal("sqlite:////proc/self/mlflow.db")  # MLflow tries for minutes


def test_a_mistyped_address_is_told_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.commands.OTHERS", ("RAY_",))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    # Whoever asked as often as a study may would wait for 16 minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "60")
    for program in ("sweeps", "reports"):
        arguments = (program, "rho", "--profile", "smoke", "--runs", str(tmp_path / "runs"))
        try:
            answer = command(*arguments)
        except subprocess.TimeoutExpired as expired:
            raise AssertionError("it waits for a server that was never there") from expired
        text = " ".join(answer.stderr.split())
        assert answer.returncode == 1, text
        assert text.startswith("Error: The tracking store http://127.0.0.1:1 does not answer")
        assert "Traceback" not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a#b", "a%20b", "é ü;&=+"])
def test_a_folder_of_results_may_have_any_name(tmp_path, monkeypatch, name):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    runs = tmp_path / name
    tracker = Tracker(default_uri(runs), "rho", f"{runs.as_uri()}/artifacts")
    tracker.open_study("laptop", ["key"], "data")
    assert Tracker(default_uri(runs), "rho").keys("laptop") == {"key"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///",
        "sqlite://",
        "sqlite:////",
        "sqlite:///:memory:",
        "sqlite:///?cache=shared",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///.",
    ],
)
def test_a_database_without_a_file_is_refused(tmp_path, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match="names no file for the database"):
        default_uri(tmp_path)


def test_the_file_of_a_database_is_the_same_in_every_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("mlflow.db", "./a/../mlflow.db", tmp_path / "mlflow.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}?timeout=9")
        file, _, options = default_uri(tmp_path).removeprefix("sqlite:///").partition("?")
        assert Path(file).is_absolute()
        assert Path(file).resolve() == tmp_path / "mlflow.db"
        assert options == "timeout=9"


def test_a_question_mark_in_the_path_of_the_results_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(InputError, match=r"has '\?' in its path"):
        default_uri(tmp_path / "a?b" / "runs")
    (tmp_path / "x?").mkdir()
    monkeypatch.chdir(tmp_path / "x?")
    with pytest.raises(InputError, match="Rename the folder"):
        default_uri(Path("runs"))
