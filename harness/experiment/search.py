"""A search as a value: settings, rungs of longer and longer experiments, and the number that judges them.

Rung 0 of a setting is its shortest experiment, the last rung its experiment at full length. On each rung,
learning rate schedules are complete, so its experiments can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.experiment.spec import Experiment

Setting = Mapping[str, float]
"""Values of the searched numbers, by name."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Interval of a searched number."""

    low: float
    """Lower bound."""
    high: float
    """Upper bound."""
    logarithmic: bool = False
    """True if equal factors are equally likely, False if equal differences are."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Ascending values of a searched number."""

    values: tuple[float, ...]
    """Values, in ascending order."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """Search for the setting whose experiments have the highest objective."""

    space: Mapping[str, Range | Grid]
    """Searched numbers by name."""
    start: tuple[Setting, ...]
    """Settings of the first batch, which depend on no result. The first of them is tried on every rung."""
    experiments: Callable[[Setting, int], list[Experiment]]
    """Function that returns the experiments of a setting on a rung; every setting has equally many on a rung."""
    objective: tuple[str, str]
    """Readout and metric of the objective, a mean over categories and over the experiments of a rung."""
    shared: tuple[Experiment, ...]
    """Experiments that need everything that all experiments of the search share; it is computed before the search."""
    rungs: int = 3
    """Number of rungs."""
    judged: int = 3
    """Number of rungs whose objective decides; rungs above are tests, which suggest and stop nothing."""
    factor: int = 3
    """Factor by which the length grows from rung to rung; about one setting of this number goes on."""
    settings: int = 18
    """Number of settings that are tried."""
    seed: int = 0
    """Seed of the suggestions."""

    @property
    def known(self) -> list[Experiment]:
        """Experiments that no result chooses: the first rung of the first batch."""
        return [each for setting in self.start for each in self.experiments(setting, 0)]

    @property
    def cost(self) -> int:
        """Expected cost in experiments of the first rung: every rung costs about as much as the first."""
        return self.settings * self.rungs

    def limited(self, settings: int | None) -> Search:
        """Return the search with at most this number of settings; None for all."""
        if settings is None or settings >= self.settings:
            return self
        return replace(self, settings=settings, start=self.start[:settings])
