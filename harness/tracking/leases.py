"""Who runs an experiment: one process at a time, whichever driver, machine or cache it belongs to.

A claim lies where the results lie: it is the experiment's run, RUNNING in the tracking store, with a sign of life that
its process renews. A store cannot compare and swap. So whoever wants an experiment opens a run of it and then looks:
if nobody else has one, it is the holder; else it withdraws and tries again later. There cannot be two holders, since
each would have looked before the other's run was there.

The run names a lock that its process holds. Who sees the lock knows at once whether the process lives: a study whose
driver was killed goes on without delay. Who does not see it, on another machine, takes the claim over when its sign of
life has stood still for minutes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.runtime.cache import file_lock, is_locked, lock_id
from harness.tracking.run_writer import ALIVE, LOCK, RunWriter
from harness.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

    from harness.experiment import Experiment

HEARTBEAT_S = 20.0
"""Seconds between two signs of life."""
PATIENCE = 180.0
"""Seconds after which a sign of life that stood still is a dead process's: one that waits for a server asks it every
two minutes (see `harness.runtime.environment`)."""
MAX_BACKOFF_S = 4.0
"""At most so many seconds between two looks; more for those that meet again and again."""


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
    patience: float = PATIENCE,
) -> Iterator[RunWriter | None]:
    """Hold the right to run an experiment, and the run to write; None if it is finished already.

    Args:
        tracker: Where it is stored.
        experiment: What to run.
        lock: File to hold meanwhile; processes that see it wait for each other there.
        name: What people see.
        parent: Run of the study.
        data_digest: Digest of the data to run it on.
        environment: What it is run in.
        patience: See `PATIENCE`.
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
        )

    with file_lock(lock, "runs an experiment"):
        log = _wait(look, start, tracker.clear, _OtherHolders(lock_id(lock), patience))
        if log is None:
            yield None
            return
        with _heartbeat(log):
            yield log


def _wait(
    look: Callable[[], list[Run]],
    start: Callable[[], RunWriter],
    clear: Callable[[Iterable[Run]], None],
    others: _OtherHolders,
) -> RunWriter | None:
    """Wait until nobody else runs the experiment; return its new run, or None if it was finished meanwhile."""
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
    """Which runs of other processes are still written, as far as can be told from here."""

    own_lock: str
    patience: float
    _since: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a sign of life of a run was seen first."""
    _looked: float = 0.0

    def live(self, runs: Iterable[Run]) -> bool:
        """Whether any of the runs is alive; asked again and again, it knows ever better."""
        now = time.monotonic()
        if now - self._looked > HEARTBEAT_S:  # the store was away, perhaps for the others, too
            self._since.clear()
        self._looked = now
        return any([self._lives(run, now) for run in runs if run.info.status == "RUNNING"])

    def _lives(self, run: Run, now: float) -> bool:
        lock = run.data.tags.get(LOCK)
        # Of an older version, which had no such tag; of a process whose lock is ours now.
        if lock is None or lock == self.own_lock:
            return False
        if (held := is_locked(lock)) is not None:
            return held
        sign = run.info.run_id, run.data.tags[ALIVE]
        return now - self._since.setdefault(sign, now) < self.patience


@contextmanager
def _heartbeat(log: RunWriter) -> Iterator[None]:
    """Give signs of life from a thread of its own."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            log.beat()

    # It may be waiting for a server when the rest has ended, and nobody waits for it then.
    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
