"""The driver: stopped softly or by force, it leaves a study that goes on."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from harness.runtime.scratch import HOLDER
from tests.faults.processes import assert_none_left
from tests.faults.smoke_study import assert_nothing_lost

pytestmark = [pytest.mark.ray, pytest.mark.faults]

MARKER = "DRIVER_THAT_ENDS"
"""Variable in the environment of a driver and of all that it starts."""


def test_a_stopped_driver_leaves_a_study_that_goes_on(undisturbed, study):
    """Injected, each when an experiment ends: Ctrl-C, then an end by force; the command is typed again at once.

    Must hold: Ctrl-C is answered in a line, with code 130, and leaves no run that seems to be under way; what was
    finished is not run again; the third time everything is finished once, with the same bits.
    """
    code, text = study.run(lambda driver: driver.send_signal(signal.SIGINT))
    assert code == 130
    assert "Stopped. Finished experiments are kept; the same command continues from here." in text
    assert set(study.count_states()) <= {"FINISHED", "KILLED"}
    first = study.finished()
    assert 1 <= len(first) < 5

    _, text = study.run(lambda driver: driver.kill())
    assert f"6 experiments, {len(first)} finished" in text
    second = study.finished()
    assert first.items() < second.items()
    assert len(second) < 6

    code, text = study.run()
    assert code == 0, text
    assert_nothing_lost(study, undisturbed.values())
    assert second.items() <= study.finished().items()
    assert (study.runs / "rho" / "smoke.html").is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_container_or_a_closed_terminal_is_answered_as_ctrl_c(study, number, monkeypatch):
    """The driver prints one sentence, ends with the signal's code, and leaves no process and no temporary folder."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # sockets of Ray need a short path
        monkeypatch.setattr(study, "environment", {"RAY_TMPDIR": folder, MARKER: ""})
        code, text = study.run(lambda driver: driver.send_signal(number))
        assert code == 128 + number
        assert text.count("Stopped.") == 1
        assert "the same command continues from here" in text
        assert set(study.count_states()) <= {"FINISHED", "KILLED"}
        assert_none_left(MARKER)
        assert list(Path(folder).iterdir()) == []
    assert list(study.cache.glob("study-*")) == []


def test_nothing_of_a_killed_driver_is_left_after_the_next_command(study, monkeypatch):
    """Its processes end by themselves within seconds; the next command clears its folders a minute later."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # sockets of Ray need a short path
        monkeypatch.setattr(study, "environment", {"RAY_TMPDIR": folder, MARKER: ""})
        study.run(lambda driver: driver.kill())
        assert_none_left(MARKER)
        left = [*Path(folder).iterdir(), *study.cache.glob("study-*")]
        assert [path.name.rpartition("-")[0] for path in left] == ["meds-ray", "study"]
        for path in left:
            os.utime(path / HOLDER, (0, 0))  # a minute has passed
        code, text = study.run(more=("--limit", "1"))
        assert code == 0, text
        assert list(Path(folder).iterdir()) == []
    assert list(study.cache.glob("study-*")) == []
