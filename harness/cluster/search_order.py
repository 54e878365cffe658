"""Order of a search's results, and slots for its experiments. Imports nothing heavy, because it is a separate process.

ASHA compares a result with those before it, and TPE learns from results, so both depend on the order in which results
arrive. Here the order does not depend on the time that experiments take.
"""

from __future__ import annotations

from collections import defaultdict

from harness.cluster.progress_actor import ProgressActor


class SearchActor(ProgressActor):
    """Progress of a search, the order of its results, and the slots of its running experiments."""

    def __init__(self, *, settings: int, batch: int, slots: int) -> None:
        """Begin a search.

        Args:
            settings: Number of settings.
            batch: Number of settings that are suggested together.
            slots: Maximum number of concurrent experiments.
        """
        super().__init__()
        self._settings, self._batch, self._slots = settings, batch, slots
        self._values: dict[tuple[int, int], float] = {}
        self._decided: set[tuple[int, int]] = set()
        self._ended: set[int] = set()
        self._taken: dict[int, set[str]] = defaultdict(set)

    def measure(self, number: int, rung: int, value: float) -> None:
        """Note the objective of a setting on a rung."""
        self._values[number, rung] = value

    def may_report(self, number: int, rung: int) -> bool:
        """Return whether the scheduler may decide about a setting on a rung now.

        All settings of its batch that reached the rung are measured first. The first setting of the search comes
        first, the others from the highest objective to the lowest, equal ones in the order of their suggestion.
        """
        first = number - number % self._batch
        others = range(first, min(first + self._batch, self._settings))
        reached = {n for n in others if n not in self._ended or (n, rung) in self._values}
        if any((n, rung) not in self._values for n in reached):
            return False
        ahead = {n for n in reached if self._place(n, rung) < self._place(number, rung)}
        return all((n, rung) in self._decided or n in self._ended for n in ahead)

    def _place(self, number: int, rung: int) -> tuple[bool, float, int]:
        return (number != 0, -self._values[number, rung], number)

    def decide(self, number: int, rung: int) -> None:
        """Note that the scheduler has decided about a setting on a rung."""
        self._decided.add((number, rung))

    def end(self, number: int) -> None:
        """Note that a setting goes no further."""
        self._ended.add(number)
        self.free(number)

    def take(self, number: int, member: str) -> bool:
        """Take a slot for an experiment of a setting; return whether there was one."""
        if sum(map(len, self._taken.values())) >= self._slots:
            return False
        self._taken[number].add(member)
        return True

    def free(self, number: int, member: str | None = None) -> None:
        """Free the slot of an experiment of a setting, or all slots of the setting."""
        if member is None:
            self._taken.pop(number, None)
        else:
            self._taken[number].discard(member)
