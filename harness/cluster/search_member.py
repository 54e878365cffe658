"""Experiment of a search by its place: a setting, a rung, and a position on the rung. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """Experiment of a setting on a rung."""

    number: int
    """Number of the setting, in the order of the suggestions."""
    setting: dict[str, float]
    rung: int
    index: int
    """Position among the experiments of the rung."""

    @property
    def label(self) -> str:
        """Text that identifies the experiment within the search."""
        return f"{self.number}/{self.rung}/{self.index}"
