"""Settings that the MeDS paper leaves open, one choice at a time.   make sweep-options

On some settings the paper and its release disagree, or neither decides. The study changes one such setting at a time in
the profile's MeDS, at the profile's highest noise ratio over three training seeds. The distance is an exception: memory
and network change together. Expect most settings to move image AUROC by less than the seeds do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.detectors.meds import MeDS
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study, seed by seed."""
    return [
        profile.experiment(detector, max(profile.noise_ratios), seed=seed)
        for seed in SEEDS
        for detector in dict.fromkeys((profile.meds, *_choices(profile.meds)))
    ]


def _choices(meds: MeDS) -> Iterator[MeDS]:
    """Yield MeDS with one setting chosen at a time; some choices are the profile's own."""
    memory, selection = meds.memory, meds.selection
    # Any: every network has a distance, but networks have no common class of settings.
    network: Any = meds.network
    for distance in ("cosine", "euclidean"):
        yield replace(
            meds,
            memory=replace(memory, distance=distance),
            network=replace(network, distance=distance),
        )
    yield replace(meds, memory=replace(memory, replacement=False))
    yield replace(meds, memory=replace(memory, exclude_self=True))
    for discrepancy in ("mse", "l2norm", "l1"):
        yield replace(meds, discrepancy=discrepancy)
    yield replace(meds, objective="literal")
    for critical_value in (1.0, 3.0):
        yield replace(meds, selection=replace(selection, critical_value=critical_value))
    yield replace(meds, selection=replace(selection, rounding="down"))
    yield replace(meds, selection=replace(selection, first_pass="all"))
