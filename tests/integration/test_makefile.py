"""The verbs that make the environment, as far as `make` tells what it would do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import as_a_user
from tests.support.waiting import PATIENCE

MAKEFILE = Path(__file__).parents[2] / "Makefile"


@pytest.fixture
def checkout(tmp_path):
    """A folder with all that `make install` looks at, and no environment."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/lock.txt"):
        (tmp_path / name).touch()
    return tmp_path


def would(checkout, *words):
    user = {**as_a_user(), "cwd": checkout}
    done = subprocess.run(
        ["make", "--dry-run", *words], capture_output=True, check=True, timeout=PATIENCE, **user
    )
    return done.stdout


def has(checkout, *stamps):
    (checkout / ".venv").mkdir(exist_ok=True)
    for stamp in stamps:
        (checkout / ".venv" / stamp).touch()


def test_an_environment_has_the_extra_that_was_asked_for(checkout):
    assert "'.[cpu]'" in would(checkout, "install")
    assert "'.[gpu]'" in would(checkout, "install", "EXTRA=gpu")


@pytest.mark.parametrize(("there", "asked"), [("cpu", "gpu"), ("gpu", "cpu")])
def test_another_extra_makes_the_environment_anew(checkout, there, asked):
    has(checkout, f"installed-{there}", f"installed-{there}-dev")
    lines = would(checkout, "install", f"EXTRA={asked}").splitlines()
    emptied = next(i for i, line in enumerate(lines) if "rm -rf .venv" in line)
    made = next(i for i, line in enumerate(lines) if "-m venv .venv" in line)
    assert emptied < made


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_what_is_installed_is_used_by_the_other_verbs_as_it_is(checkout, extra):
    has(checkout, f"installed-{extra}")
    assert would(checkout, "sweep-rho").strip() == ".venv/bin/python -m meds_bench run rho"
    assert f"'.[{extra},dev]'" in would(checkout, "test")
    has(checkout, f"installed-{extra}-dev")
    assert "pip" not in would(checkout, "test")
    assert f"'.[{extra},docs]'" in would(checkout, "docs")
    has(checkout, f"installed-{extra}-docs")
    assert "pip" not in would(checkout, "docs")


@pytest.mark.parametrize(
    ("version", "fits"), [("3.10", False), ("3.11", True), ("3.14", True), ("3.15", False)]
)
def test_a_python_outside_the_supported_range_is_refused_in_a_paragraph(checkout, version, fits):
    """A stand-in runs the check with another version; asked for an environment, it ends with code 9."""
    major, minor = version.split(".")
    stand_in = checkout / "python"
    stand_in.write_text(
        f"""#!{sys.executable}
import sys
if sys.argv[1] != "-c":
    raise SystemExit(9)
sys.version_info = ({major}, {minor}, 0)
exec(sys.argv[2])
"""
    )
    stand_in.chmod(0o755)
    command = ["make", "install", f"PYTHON={stand_in}"]
    user = {**as_a_user(), "cwd": checkout}
    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE, **user)
    assert done.returncode == 2
    assert (f"This is Python {version}, but Python 3.11 to 3.14 is needed." in done.stderr) != fits
    assert ("Installing" in done.stdout) == fits
    assert not (checkout / ".venv").exists()


def test_the_lock_is_that_of_the_extra_cpu(checkout):
    text = would(checkout, "lock", "EXTRA=gpu")
    assert "'.[cpu,dev,docs]'" in text
    stamps = [f".venv/installed-cpu{part}" for part in ("", "-dev", "-docs")]
    assert f"touch {' '.join(stamps)}" in text
