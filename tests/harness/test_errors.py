"""Messages: no password of an address is in any of them, whatever the password looks like."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError, NoResultError, UsageError, hide_passwords
from harness.runtime.remote import mirror
from harness.tracking import Tracker
from harness.tracking.connection import connect
from tests.support.commands import ROOT

CANARY = "c4nary"
ADDRESSES = [
    f"http://me:{CANARY}@127.0.0.1:9",
    f"postgresql://me:{CANARY}@127.0.0.1:9/runs",
    f"mysql+pymysql://me:{CANARY}@127.0.0.1:9/runs",
    f"mssql+pyodbc:///?odbc_connect=PWD%3D{CANARY}",
    f"http://127.0.0.1:9/?token={CANARY}",
    f"http://{CANARY}@127.0.0.1:9",
]


@given(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1))
def test_no_character_of_a_password_ends_the_hiding(password):
    assert hide_passwords(f"at s3://me:{password}@host/x.") == "at s3://***@host/x."


@pytest.mark.parametrize(
    "name",
    ["token", "X-Amz-Signature", "AWSAccessKeyId", "sig", "password", "sslpassword", "api_key"],
)
def test_secret_parameters_are_hidden_and_others_are_shown(name):
    text = f"https://host/x?page=2&{name}={CANARY}&size=3"
    assert hide_passwords(text) == f"https://host/x?page=2&{name}=***&size=3"


@pytest.mark.parametrize(
    "text", ["sqlite:////runs/mlflow.db", "s3://bucket/a=b", "mail me@host", "http://host:5000/#x"]
)
def test_addresses_without_a_password_are_shown_whole(text):
    assert hide_passwords(text) == text


@pytest.mark.parametrize(
    "kind", [InputError, UsageError, lambda text: NoResultError(text, "make x")]
)
def test_an_error_never_holds_a_password(kind):
    assert CANARY not in str(kind(f"The store http://me:{CANARY}@host is gone."))


@pytest.mark.parametrize("uri", ADDRESSES)
def test_a_store_that_does_not_answer_is_named_without_its_password(uri):
    with pytest.raises(InputError) as caught:
        connect(uri)
    assert CANARY not in str(caught.value)


def test_a_store_is_described_without_its_password(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db?password={CANARY}"
    assert CANARY not in Tracker(uri, "test").reach()


@pytest.mark.parametrize("url", [f"ftp://me:{CANARY}@host/x", f"memory://x?token={CANARY}"])
def test_a_storage_with_a_password_is_refused_before_it_is_noted(url, tmp_path):
    with pytest.raises(InputError, match="holds a password or a token") as caught:
        mirror(tmp_path / "cache", url)
    assert CANARY not in str(caught.value)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    "command",
    [
        ("harness", "export", "rho", "--out", "out"),
        ("harness", "doctor", "--storage", f"ftp://me:{CANARY}@127.0.0.1:9/x"),
        ("reports", "rho"),
    ],
)
def test_no_command_prints_a_password(command, tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": ADDRESSES[0], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "127.0.0.1" in found.stdout + found.stderr
    assert CANARY not in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


UNEXPECTED = """
import sys
from harness.errors import exit_on_input_error
with exit_on_input_error():
    try:
        raise ConnectionError(f"first, {sys.argv[1]} is gone\\nand {sys.argv[1]} again")
    except ConnectionError as error:
        raise RuntimeError({"address": sys.argv[1]}) from error
"""


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_unexpected_traceback_is_shown_without_the_passwords_of_its_chain(address):
    found = subprocess.run(
        [sys.executable, "-c", UNEXPECTED, address],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "ConnectionError: first" in found.stderr
    assert "RuntimeError: {" in found.stderr
    assert found.stderr.count("***") == 3
    assert CANARY not in found.stderr


PRINTS = {
    "once, at the end": "print('text')",
    "before its own end": "print('text'); sys.exit(0)",
    "line by line": "[print(number, flush=True) for number in range(9)]",
    "more than a buffer": "print('x' * 100_000)",
}


@pytest.mark.parametrize("statement", PRINTS.values(), ids=PRINTS)
@pytest.mark.parametrize("both", [False, True], ids=["stdout", "stdout and stderr"])
def test_a_program_whose_output_nobody_reads_any_more_ends_in_silence(statement, both):
    reader, writer = os.pipe()
    os.close(reader)
    code = f"import sys\nfrom harness.errors import exit_on_input_error\nwith exit_on_input_error(): {statement}"
    with os.fdopen(writer) as output:
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            stdout=output,
            stderr=output if both else subprocess.PIPE,
            check=False,
        )
    assert found.returncode == 128 + signal.SIGPIPE
    assert not found.stderr


def test_a_broken_connection_is_no_reason_to_be_silent():
    code = (
        "from harness.errors import exit_on_input_error\n"
        "with exit_on_input_error(): raise BrokenPipeError(32, 'Broken pipe')"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert found.returncode == 1
    assert b"BrokenPipeError" in found.stderr
