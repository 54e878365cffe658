"""Pool of Ray actors that process items together and go on when an actor or its machine is lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

from harness.runtime.compute import single_threaded

PREFETCH_PER_ACTOR = 2
"""Number of items that an actor holds at a time, so that the actor never waits for its next item."""
MAX_BUFFERED_PER_ACTOR = 8
"""Maximum number of items per actor, running or finished, ahead of the next result to be yielded."""
MAX_RETRIES = 3
"""Actor failures tolerated per item before the item itself is considered faulty."""


class Worker:
    """Actor that applies functions to items, one at a time, in a process that keeps the objects they load."""

    def apply(self, function: Callable[[Any], Any], item: Any) -> Any:
        """Apply a function on one CPU thread."""
        with single_threaded():
            return function(item)


_ACTOR = ray.remote(Worker)


@dataclass
class _Work:
    """State of a sequence of items that the pool processes."""

    function_here: Callable[[Any], Any]
    function: ray.ObjectRef
    items: Sequence[Any]
    todo: list[int]
    """Heap of positions of the items to process; lost items come before new items."""
    running: dict[ray.ObjectRef, tuple[int, Any]] = field(default_factory=dict)
    finished: dict[int, Any] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)
    losses: Counter[int] = field(default_factory=Counter)


class ActorPool:
    """Pool of actors that process sequences of items, one sequence after the other.

    The items of a lost actor go to the other actors. A successor joins the pool as soon as the cluster has room for the
    successor. With Ray's own restarts, the items of the lost actor would wait for this room.
    """

    def __init__(self, size: int, resources: Mapping[str, float]) -> None:
        """Start `size` actors that take `resources` each (see `harness.cluster.session.worker_slots`)."""
        self._resources = resources
        self._horizon = MAX_BUFFERED_PER_ACTOR * max(1, size)
        self._actors: set[Any] = set()
        self._joining: dict[ray.ObjectRef, Any] = {}
        self._free: deque[Any] = deque()
        for _ in range(size):
            self._start_actor()

    def __enter__(self) -> ActorPool:
        return self

    def __exit__(self, *_: object) -> None:
        """End all actors."""
        for actor in self._actors:
            ray.kill(actor)

    def results(
        self, function: Callable[[Any], Any], items: Sequence[Any], *, use_caller: bool = False
    ) -> Iterator[Any]:
        """Yield function(item) in the items' order.

        Args:
            function: Function to apply.
            items: Items to process.
            use_caller: True if the calling process also processes items. This process owns a core and would otherwise
                only wait.

        Raises:
            Exception: the unchanged exception of the function for the first item that failed.
            RayActorError: an item was lost more than `MAX_RETRIES` times.
        """
        work = _Work(function, ray.put(function), items, list(range(len(items))))
        try:
            for position in range(len(items)):
                while True:
                    before = position + self._horizon
                    self._submit(work, before=before)
                    if position in work.failed:
                        raise work.failed[position]
                    if position in work.finished:
                        break
                    if use_caller and work.todo and work.todo[0] < before:
                        while self._collect(work, timeout=0):
                            pass
                        self._submit(work, before=before)
                        _run_in_caller(work)
                    else:
                        self._collect(work)
                yield work.finished.pop(position)
        finally:
            self._free.extend(actor for _, actor in work.running.values() if actor in self._actors)

    def _start_actor(self) -> None:
        actor = _ACTOR.options(**self._resources).remote()
        self._actors.add(actor)
        self._joining[actor.__ray_ready__.remote()] = actor

    def _submit(self, work: _Work, *, before: int) -> None:
        while self._free and work.todo and work.todo[0] < before:
            busy = {actor for _, actor in work.running.values()}
            actor = next((actor for actor in self._free if actor not in busy), self._free[0])
            if actor in busy and len(work.todo) < len(self._actors):
                return  # the last items go to the actors that are free, or join, first
            self._free.remove(actor)
            position = heappop(work.todo)
            reference = actor.apply.remote(work.function, work.items[position])
            work.running[reference] = position, actor

    def _collect(self, work: _Work, *, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds for the next event: an actor joins, or an item is finished or lost.

        Returns:
            True if an event happened.
        """
        expected = [*self._joining, *work.running]
        ready, _ = ray.wait(expected, num_returns=1, timeout=timeout) if expected else ([], [])
        if not ready:
            return False
        (reference,) = ready
        if reference in self._joining:
            self._free.extend([self._joining.pop(reference)] * PREFETCH_PER_ACTOR)
            return True
        position, actor = work.running.pop(reference)
        try:
            work.finished[position] = ray.get(reference)
        except RayTaskError as error:
            work.failed[position] = error.cause
            self._free.append(actor)
        except (RayActorError, ObjectLostError):
            work.losses[position] += 1
            heappush(work.todo, position)
            self._replace(actor)
            if work.losses[position] > MAX_RETRIES:
                raise
        else:
            if actor in self._actors:
                self._free.append(actor)
        return True

    def _replace(self, actor: Any) -> None:
        """Remove an actor from the pool and start a successor, once per actor."""
        if actor in self._actors:
            self._actors.remove(actor)
            self._free = deque(other for other in self._free if other != actor)
            ray.kill(actor)
            self._start_actor()


def _run_in_caller(work: _Work) -> None:
    """Process the next item in this process, if an item is left."""
    if work.todo:
        position = heappop(work.todo)
        try:
            with single_threaded():
                work.finished[position] = work.function_here(work.items[position])
        except Exception as error:  # noqa: BLE001 - raised later, in the order of the items
            work.failed[position] = error
