"""Rounds of a study; a later round may depend on results of earlier rounds, and most studies have one round."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.experiment import Experiment
from harness.metrics.names import MEAN
from harness.tracking import Tracker
from sweeps.profiles.contract import Profile

if TYPE_CHECKING:
    from harness.cluster.progress import Summary

Rounds = Generator[list[Experiment], Mapping[str, float], None]
"""Generator that yields the experiments of each round and receives results by key."""


def rounds_of(study: ModuleType, profile: Profile, labelled: tuple[str, ...]) -> Rounds:
    """Yield the rounds of a study.

    Raises:
        InputError: the study cannot run on this profile, or labels were declared for a study that uses none.
    """
    if hasattr(study, "rounds"):
        yield from study.rounds(profile, labelled)
    elif labelled:
        raise UsageError(
            "--labelled-categories is for the study search alone, because no other study uses its results to choose "
            "experiments. Leave --labelled-categories out."
        )
    else:
        yield profile.cells(study.experiments(profile))


def run_rounds(
    first: list[Experiment],
    rounds: Rounds,
    *,
    run: Callable[[list[Experiment]], Summary],
    select: Callable[[list[Experiment]], list[Experiment]],
    found: Callable[[], Mapping[str, float]],
) -> Summary:
    """Run all rounds, beginning with the given first round; return a summary of all experiments.

    Args:
        first: Experiments to run in the first round.
        rounds: Generator of the rounds, advanced past the first round.
        run: Function that runs all unfinished experiments among those of all rounds so far.
        select: Function that selects the experiments of a round to run.
        found: Function that returns the results of finished experiments by key.
    """
    experiments, new = list(first), first
    while True:
        summary = run(experiments)
        if not new or summary.finished_before + summary.finished == 0:
            return summary
        try:
            new = select(rounds.send(found()))
        except StopIteration:
            return summary
        experiments = list(dict.fromkeys([*experiments, *new]))


def values_of(tracker: Tracker, profile: str, readout: str, metric: str) -> dict[str, float]:
    """Return a metric of the study's finished experiments by key, averaged over categories."""
    rows = tracker.load(profile)
    is_mean = rows["category"] == MEAN
    chosen = rows[is_mean & (rows["readout"] == readout) & (rows["metric"] == metric)]
    return dict(zip(chosen["key"], chosen["value"], strict=True))
