"""Studies in rounds, of which a later one depends on what an earlier one found; most studies have one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.experiment import Experiment
from harness.tracking import Tracker
from sweeps.profiles.contract import Profile

if TYPE_CHECKING:
    from harness.cluster.progress import Summary

Rounds = Generator[list[Experiment], Mapping[str, float], None]
"""Yields the experiments of a round and is sent what they found, by key."""


def rounds_of(study: ModuleType, profile: Profile, labelled: tuple[str, ...]) -> Rounds:
    """The rounds of a study.

    Raises:
        InputError: the study cannot run on this profile, or labels were declared for one that looks at none.
    """
    if hasattr(study, "rounds"):
        yield from study.rounds(profile, labelled)
    elif labelled:
        raise UsageError(
            "--objective is for the study search alone: no other looks at what it found."
        )
    else:
        yield profile.cells(study.experiments(profile))


def run_rounds(
    first: list[Experiment],
    rounds: Rounds,
    *,
    run: Callable[[list[Experiment]], Summary],
    pick: Callable[[list[Experiment]], list[Experiment]],
    found: Callable[[], Mapping[str, float]],
) -> Summary:
    """Run all rounds, the first of which is known; return how all their experiments went.

    Args:
        first: Experiments of the first round that are to be run.
        rounds: After its first round.
        run: Runs what is not finished of all experiments so far.
        pick: Which experiments of a round are to be run.
        found: What is known of finished experiments, by key.
    """
    experiments, new = list(first), first
    while True:
        summary = run(experiments)
        if not new or summary.finished_before + summary.finished == 0:
            return summary
        try:
            new = pick(rounds.send(found()))
        except StopIteration:
            return summary
        experiments = list(dict.fromkeys([*experiments, *new]))


def values_of(tracker: Tracker, profile: str, readout: str, metric: str) -> dict[str, float]:
    """A metric of the study's finished experiments, mean over categories, by key."""
    rows = tracker.load(profile).query(
        "readout == @readout and metric == @metric and category == 'mean'"
    )
    return dict(zip(rows["key"], rows["value"], strict=True))
