"""Temporary folders end with their process, or with the next one after a forced end."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from harness.runtime import scratch
from harness.runtime.scratch import HOLDER, remove_leftovers, scratch_folder
from harness.runtime.stopping import Stopped, stop_on_signals

HOLD = """
import sys, time
from pathlib import Path
from harness.runtime.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), "x-") as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder in `tmp_path`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_folder_is_private_and_ends_with_its_block(tmp_path):
    with scratch_folder(tmp_path, "x-") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "below").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_only_the_folder_of_a_dead_process_is_a_leftover(tmp_path, holder, monkeypatch):
    other = tmp_path / "x-other"
    other.mkdir()  # a folder that nobody has locked yet
    monkeypatch.setattr(scratch, "GRACE", 0)
    remove_leftovers(tmp_path, "x-")
    assert len(list(tmp_path.iterdir())) == 2
    holder.kill()
    holder.wait()
    remove_leftovers(tmp_path, "x-")
    assert list(tmp_path.iterdir()) == [other]


def test_the_removal_of_a_leftover_can_be_interrupted(tmp_path, monkeypatch):
    """The rest is found again, because the file that marks a leftover goes last."""
    folder = tmp_path / "x-dead"
    (folder / "below").mkdir(parents=True)
    (folder / HOLDER).touch()
    monkeypatch.setattr(scratch, "GRACE", 0)
    with monkeypatch.context() as patch:
        patch.setattr(scratch.shutil, "rmtree", interrupt_after(folder / "below"))
        with pytest.raises(KeyboardInterrupt):
            remove_leftovers(tmp_path, "x-")
    assert [path.name for path in folder.iterdir()] == [HOLDER]
    remove_leftovers(tmp_path, "x-")
    assert list(tmp_path.iterdir()) == []


def interrupt_after(last):
    """The real removal, which ends with an interruption once it has removed the folder `last`."""
    real = shutil.rmtree

    def remove(path, **options):
        real(path, **options)
        if path == last:
            raise KeyboardInterrupt

    return remove


def test_a_young_folder_stays_since_its_process_may_be_about_to_lock_it(tmp_path):
    (tmp_path / "x-young").mkdir()
    (tmp_path / "x-young" / HOLDER).touch()
    remove_leftovers(tmp_path, "x-")
    assert (tmp_path / "x-young").is_dir()


def test_a_link_is_never_followed(tmp_path, monkeypatch):
    target = tmp_path / "target"
    target.mkdir()
    (target / HOLDER).touch()
    (tmp_path / "x-link").symlink_to(target)
    monkeypatch.setattr(scratch, "GRACE", 0)
    remove_leftovers(tmp_path, "x-")
    assert (target / HOLDER).is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_and_ends_the_command_with_its_code(number, capsys):
    def stopped_twice():
        try:
            os.kill(os.getpid(), number)
        except Stopped:
            os.kill(os.getpid(), number)  # a second signal does not disturb what follows
            raise

    before = signal.signal(number, signal.SIG_DFL)  # under `nohup`, SIGHUP is ignored
    try:
        with pytest.raises(SystemExit) as end, stop_on_signals():
            stopped_twice()
        assert end.value.code == 128 + number
        assert capsys.readouterr().err.strip() == "Stopped."
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_signal_decides_the_code_although_a_library_replaces_its_exception(capsys):
    """Ray raises a plain KeyboardInterrupt where a signal arrives while it waits."""

    def library():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Stopped:
            raise KeyboardInterrupt from None

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as end, stop_on_signals():
            library()
        assert end.value.code == 128 + signal.SIGTERM
        with pytest.raises(SystemExit) as end, stop_on_signals():  # the next command
            raise KeyboardInterrupt
        assert end.value.code == 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_ignored_signal_stays_ignored():
    """As under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
