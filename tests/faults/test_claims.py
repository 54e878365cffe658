"""Claims of experiments: one holder at a time on any caches, the dead give way. Real processes and a real database."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from harness.detectors import MemoryDetector
from harness.experiment import Experiment
from harness.tracking import Tracker
from harness.tracking.leases import PATIENCE, _OtherHolders, lease
from harness.tracking.run_writer import ALIVE, LOCK, LOSSES, LOST
from tests.support.dataset import ENCODER, SMALL
from tests.support.tracking import tracker_in
from tests.support.waiting import wait_until

DATA = "d" * 16


EXPERIMENT = Experiment(dataset=SMALL, encoder=ENCODER, detector=MemoryDetector())


def claim(folder: Path, cache: str, tracker: Tracker | None = None, **settings):
    of_run = {"name": cache, "parent": "parent", "data_digest": DATA, "environment": {}}
    lock = folder / cache / "claim.lock"
    return lease(tracker or tracker_in(folder), EXPERIMENT, lock=lock, **of_run, **settings)


def attempts(folder: Path):
    return tracker_in(folder).attempts(EXPERIMENT.key, DATA)


def work(folder: Path, cache: str, log: Path) -> None:
    """Run the experiment unless somebody has, and note it; the first two fail."""
    while True:
        with claim(folder, cache) as run:
            if run is None:
                return
            with log.open("a") as file:
                file.write("begin\n")
            time.sleep(0.3)
            done = log.read_text().count("begin")
            with log.open("a") as file:
                file.write("end\n")
            if done > 2:
                run.client.set_terminated(run.run_id, "FINISHED")
            else:
                run.fail("not yet")


def hold(folder: Path, cache: str) -> None:
    with claim(folder, cache):
        time.sleep(600)


@pytest.fixture
def database(tmp_path):
    tracker_in(tmp_path).open_study("small", [EXPERIMENT.key], DATA)
    return tmp_path


@pytest.fixture
def start():
    """Start a function in a process of its own, which is gone at the end."""
    context, processes = multiprocessing.get_context("spawn"), []

    def started(function, *arguments):
        processes.append(context.Process(target=function, args=arguments))
        processes[-1].start()
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.join()


@pytest.mark.faults
def test_one_process_at_a_time_has_a_claim_whatever_its_cache(database, start):
    """Four processes, three caches: each attempt is alone, and the first that succeeds is the last."""
    log = database / "log"
    processes = [start(work, database, cache, log) for cache in ("a", "b", "c", "c")]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert log.read_text().split() == ["begin", "end"] * 3
    assert [run.info.status for run in attempts(database)] == ["FINISHED"]


def held_by_another(folder, start):
    """Have another process hold the claim; return that process."""
    holder = start(hold, folder, "other")
    wait_until(lambda: attempts(folder) or not holder.is_alive())
    assert holder.is_alive()
    return holder


def test_the_claim_of_a_process_that_was_killed_here_is_free_at_once(database, start, monkeypatch):
    """The next process takes it after a look at the store, and a second one to see that it is alone."""
    holder = held_by_another(database, start)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    really, looks = Tracker.attempts, []

    def look(*arguments):
        looks.append(arguments)
        return really(*arguments)

    monkeypatch.setattr(Tracker, "attempts", look)
    with claim(database, "own") as run:
        assert len(looks) == 2
        assert [other.info.run_id for other in attempts(database)] == [run.run_id]


def test_a_claim_elsewhere_lives_while_its_sign_of_life_moves(database, monkeypatch):
    """As a process on another machine renews it: its lock cannot be seen from here."""
    monkeypatch.setattr("harness.tracking.leases.MAX_BACKOFF_S", 0.4)
    with claim(database, "elsewhere") as other:
        client = other.client
    client.set_tag(other.run_id, LOCK, "17 /on/another/machine/claim.lock")
    really, moved = Tracker.attempts, []

    def look(*arguments):
        """See a sign of life that moves at every look for a while, and then no more."""
        if len(moved) < 8:
            client.set_tag(other.run_id, ALIVE, str(len(moved)))
            moved.append(time.monotonic())
        return really(*arguments)

    monkeypatch.setattr(Tracker, "attempts", look)
    with claim(database, "own", patience=2) as run:
        assert time.monotonic() - moved[-1] >= 2
        assert [other.info.run_id for other in attempts(database)] == [run.run_id]
    assert client.get_run(other.run_id).info.lifecycle_stage == "deleted"


def test_the_claim_of_a_process_that_its_driver_lost_elsewhere_is_free_at_once(database):
    """Its lock cannot be seen, and its last sign of life is young; a process of another driver would wait."""
    driver = tracker_in(database)
    with claim(database, "elsewhere", driver) as other:
        other.client.set_tag(other.run_id, LOCK, "17 /on/another/machine/claim.lock")
    started = time.monotonic()
    with claim(database, "own", driver, lost=["its machine died"]) as run:
        assert time.monotonic() - started < PATIENCE / 2
        (only,) = attempts(database)
        assert only.info.run_id == run.run_id
        assert (only.data.tags[LOSSES], only.data.tags[LOST]) == ("1", "its machine died")
    # What is left of the lost process comes too late: the newer run is alive for it.
    assert _OtherHolders("", 60.0, driver.writer, lost=0).live(
        [with_tag(run, LOCK, "17 /on/another/machine/claim-1.lock")]
    )


def test_the_loss_of_a_process_that_had_finished_its_experiment_is_recorded(database):
    driver = tracker_in(database)
    with claim(database, "finished", driver) as run:
        run.client.set_terminated(run.run_id, "FINISHED")
    with claim(database, "other", tracker_in(database), lost=["a loss of another driver"]) as none:
        assert none is None
    assert LOSSES not in attempts(database)[0].data.tags
    with claim(database, "own", driver, lost=["its machine died"]) as none:
        assert none is None
    tags = attempts(database)[0].data.tags
    assert (tags[LOSSES], tags[LOST]) == ("1", "its machine died")


def with_tag(run, name, value):
    """Set a tag of a run; return the run as the store has it."""
    run.client.set_tag(run.run_id, name, value)
    return run.client.get_run(run.run_id)


def test_a_run_that_an_older_version_left_running_gives_way(database):
    """It names no lock and gave no sign of life."""
    with claim(database, "older") as older:
        older.client.delete_tag(older.run_id, LOCK)
        older.client.delete_tag(older.run_id, ALIVE)
    with claim(database, "own") as run:
        assert [other.info.run_id for other in attempts(database)] == [run.run_id]
    assert older.client.get_run(older.run_id).info.lifecycle_stage == "deleted"
