"""Commands in messages: make in a checkout, meds-bench after an installation."""

import pytest

from harness.config import hints
from harness.config.hints import harness_command, study_command


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """As if the package was installed without a checkout."""
    monkeypatch.setattr(hints, "ROOT", tmp_path)


def test_a_checkout_has_make():
    assert study_command("rho") == "make sweep-rho"
    assert study_command("rho", "mtd", data="folder") == "make sweep-rho PROFILE=mtd DATA=folder"
    assert (
        study_command("rho", options="--noise 0.1 0.2") == 'make sweep-rho ARGS="--noise 0.1 0.2"'
    )
    assert harness_command("predict detector") == ".venv/bin/python -m harness predict detector"
    own = study_command("./my_study.py", "smoke")
    assert own == ".venv/bin/python -m sweeps ./my_study.py --profile smoke"


def test_an_installed_package_has_its_program(installed):
    words = {"data": "folder", "options": "--noise 0.1"}
    whole = "meds-bench run rho --profile mtd --data folder --noise 0.1"
    assert study_command("rho", "mtd", **words) == whole
    assert study_command("./my_study.py") == "meds-bench run ./my_study.py"
    assert harness_command("predict detector") == "meds-bench predict detector"
