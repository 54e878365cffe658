"""Leases: at most one process runs an experiment at a time, across drivers, machines and caches.

A lease is the experiment's own run in the tracking store, with status RUNNING and a heartbeat that its process renews.
The store has no compare-and-swap. A process that requests the lease therefore creates a run first, then searches for
other live runs of the experiment. If there is none, the process holds the lease; otherwise it deletes its run and
retries later. Two processes cannot both hold the lease: each would have searched before the other created its run.

The run also names a lock file that its process holds. A process that sees the lock file knows at once whether the
holder lives, so a study continues without delay after its driver was killed. A process on another machine, which does
not see the lock file, takes the lease over after minutes without a heartbeat.

If Ray reports the loss of a process, its driver runs the experiment again in another process, which takes the lease
over at once. Every run of the driver has the number of processes that were lost before it. A run with a smaller number
than that of the new process is a run of a lost process.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.runtime.locks import file_lock, is_locked, lock_id
from harness.tracking.run_reader import WRITER
from harness.tracking.run_writer import ALIVE, LOCK, LOSSES, RunWriter
from harness.tracking.system_metrics import system_metrics
from harness.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

    from harness.experiment import Experiment

HEARTBEAT_S = 20.0
"""Seconds between two heartbeats."""
PATIENCE = 180.0
"""Seconds without a heartbeat after which the lease holder is considered dead. A live process that waits for a server
repeats its request every two minutes (see `harness.runtime.environment`)."""
MAX_BACKOFF_S = 4.0
"""Upper bound of the random polling delay in seconds; it doubles after each conflict."""


@contextmanager
def lease(
    tracker: Tracker,
    experiment: Experiment,
    *,
    lock: Path,
    name: str,
    parent: str,
    data_digest: str,
    environment: Mapping[str, str],
    lost: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Iterator[RunWriter | None]:
    """Hold the lease of an experiment and yield its run for writing, or None if the experiment is finished already.

    Args:
        tracker: Tracker of the study.
        experiment: Experiment to run.
        lock: Lock file to hold during the lease; processes that see the file wait for each other there.
        name: Display name of the run.
        parent: Id of the study's parent run.
        data_digest: Digest of the data.
        environment: Tags that describe the software and hardware.
        lost: How each earlier process of this driver was lost that ran the experiment.
        patience: Seconds without a heartbeat after which another holder is considered dead.
    """

    def look() -> list[Run]:
        return tracker.attempts(experiment.key, data_digest)

    def start() -> RunWriter:
        return tracker.start(
            experiment,
            name=name,
            parent=parent,
            data_digest=data_digest,
            environment=environment,
            lock=lock_id(lock),
            lost=lost,
        )

    with file_lock(lock, "runs an experiment"):
        others = _OtherHolders(lock_id(lock), patience, tracker.writer, len(lost))
        log = _wait(look, start, tracker.clear, others)
        if log is None:
            tracker.record_losses(look(), lost)  # a process may be lost after its last write
            yield None
            return
        with _heartbeat(log), system_metrics(log):
            yield log


def _wait(
    look: Callable[[], list[Run]],
    start: Callable[[], RunWriter],
    clear: Callable[[Iterable[Run]], None],
    others: _OtherHolders,
) -> RunWriter | None:
    """Wait until no other process runs the experiment; return a new run, or None if another process finished it."""
    longest = MAX_BACKOFF_S
    while True:
        if _is_finished(runs := look()):
            return None
        if not others.live(runs):
            log = start()
            runs = [run for run in look() if run.info.run_id != log.run_id]
            if not (_is_finished(runs) or others.live(runs)):
                clear(runs)
                return log
            log.discard()
            longest = min(2 * longest, HEARTBEAT_S / 2)
        time.sleep(random.uniform(0, longest))


def _is_finished(runs: Iterable[Run]) -> bool:
    return any(run.info.status == "FINISHED" for run in runs)


@dataclass
class _OtherHolders:
    """Detector of live runs of other processes, by their locks or heartbeats."""

    own_lock: str
    patience: float
    driver: str
    """Writer of the runs of this driver (see `Tracker.writer`)."""
    lost: int
    """Number of processes of this driver that ran the experiment and were lost."""
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    """Time at which each heartbeat was first seen, by run id and heartbeat."""
    _looked: float = 0.0

    def live(self, runs: Iterable[Run]) -> bool:
        """Return whether any of the runs is alive; a dead holder is recognised only by repeated calls."""
        now = time.monotonic()
        if now - self._looked > HEARTBEAT_S:  # the store may have been down for the holders, too
            self._since.clear()
        self._looked = now
        return any([self._lives(run, now) for run in runs if run.info.status == "RUNNING"])

    def _lives(self, run: Run, now: float) -> bool:
        lock = run.data.tags.get(LOCK)
        # Runs of an older version have no such tag. If the lock is held here, its former holder is dead.
        if lock is None or lock == self.own_lock:
            return False
        if run.data.tags.get(WRITER) == self.driver and _losses(run) < self.lost:
            return False  # Ray has reported the loss of its process
        if (held := is_locked(lock)) is not None:
            return held
        sign = run.info.run_id, run.data.tags[ALIVE]
        return now - self._since.setdefault(sign, now) < self.patience


def _losses(run: Run) -> int:
    """Return how many processes had been lost when the run started."""
    return int(run.data.tags.get(LOSSES, 0))


@contextmanager
def _heartbeat(log: RunWriter) -> Iterator[None]:
    """Renew the heartbeat of a run in a thread."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            log.beat()

    # A daemon thread, because a heartbeat that waits for a server must not delay the end of the process.
    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
