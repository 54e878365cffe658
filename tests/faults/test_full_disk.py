"""A full disk: said in one paragraph, recorded where it can be; with room made, the same command goes on."""

import contextlib
import shutil

import numpy as np
import pytest

from harness.errors import InputError
from harness.runtime.cache import EntryWriter, fill_missing
from harness.runtime.checkpoints import Checkpoints
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from tests.faults.smoke_study import SmokeStudy, assert_nothing_lost


def fill(folder, left):
    """Write until about `left` bytes are free, or none if the study writes at the same time."""
    with contextlib.suppress(OSError):
        (folder / "other").write_bytes(bytes(shutil.disk_usage(folder).free - left))


def test_an_array_that_the_disk_has_no_room_for_is_refused_before_it_is_written(small_disk):
    """A write to the map of such a file would end the process, not raise."""
    folder = small_disk("1m")

    def write():
        with fill_missing("numbers", [folder / "entry"]):
            EntryWriter(folder / "entry").array("numbers", (2**20,), np.float64)[:] = 1

    with pytest.raises(OSError, match=r"No space left on device: .*numbers\.npy"):
        write()
    assert not list(folder.glob("entry*"))


def test_a_checkpoint_that_the_disk_has_no_room_for_leaves_the_one_before(small_disk):
    checkpoints = Checkpoints(small_disk("1m"))
    checkpoints.save("phase", {"step": 1})
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save("phase", {"step": 2, "weights": np.ones(2**20)})
    assert checkpoints.load("phase") == {"step": 1}
    assert len(list(checkpoints.folder.iterdir())) == 1


def test_a_tracking_store_that_has_no_room_says_so_without_a_traceback(small_disk, capfd):
    """Injected: the disk of the database is full to the last byte when a study is closed."""
    folder = small_disk("4m")
    tracker = Tracker(default_uri(folder), "rho", (folder / "artifacts").as_uri())
    parent = tracker.open_study("smoke", [], "digest")
    fill(folder, left=0)
    capfd.readouterr()
    with pytest.raises(InputError, match="database or disk is full"):
        tracker.close_study(parent, complete=True)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.ray
@pytest.mark.faults
def test_a_full_disk_of_the_cache_is_said_and_the_study_goes_on_with_room(
    undisturbed, small_disk, tmp_path
):
    """It has room for the images, not for their features."""
    study = SmokeStudy(tmp_path / "runs", small_disk("5m"))
    code, text = study.run()
    assert code == 1
    assert "No space left on device" in text
    assert "Free disk space" in text
    assert study.count_states() == {}
    small_disk("64m")
    assert study.run()[0] == 0
    assert_nothing_lost(study, undisturbed.values())


@pytest.mark.ray
@pytest.mark.faults
def test_a_full_disk_of_the_results_is_said_and_the_study_goes_on_with_room(
    undisturbed, study, small_disk
):
    """Injected: when an experiment ends, something else fills the disk of database and artifacts.

    Must hold: the driver ends by itself with code 1 and says why in a line; with room, the same command keeps what was
    finished and finishes the rest once, with the same bits.
    """
    study.runs = small_disk("16m")
    code, text = study.run(lambda _: fill(study.runs, left=16384))
    assert code == 1
    assert "No space left on device" in text or "disk is full" in text
    (study.runs / "other").unlink()
    finished = study.finished()
    assert 1 <= len(finished) < 6

    code, text = study.run()
    assert code == 0, text
    assert f"6 experiments, {len(finished)} finished" in text
    assert_nothing_lost(study, undisturbed.values())
    assert finished.items() <= study.finished().items()
