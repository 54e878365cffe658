"""What the paper of MeDS leaves open, one choice at a time.   make sweep-options

Settings that paper and release decide differently, or not at all, one at a time against the profile's MeDS, at its
highest noise ratio over three training seeds (the distance is that of memory and network). Expect most of them to move
image AUROC by less than the seeds do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.experiment import Experiment
from harness.meds import MeDS
from sweeps.profiles import Profile

SEEDS = (0, 1, 2)


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the study, seed by seed."""
    return [
        profile.experiment(detector, max(profile.noise_ratios), seed=seed)
        for seed in SEEDS
        for detector in (profile.meds, *_choices(profile.meds))
    ]


def _choices(meds: MeDS) -> Iterator[MeDS]:
    memory, selection = meds.memory, meds.selection
    network: Any = meds.network  # every network has a distance, no two the same settings
    yield replace(
        meds,
        memory=replace(memory, distance="euclidean"),
        network=replace(network, distance="euclidean"),
    )
    yield replace(meds, memory=replace(memory, replacement=False))
    yield replace(meds, memory=replace(memory, exclude_self=True))
    yield replace(meds, discrepancy="l2norm")
    yield replace(meds, discrepancy="l1")
    yield replace(meds, objective="literal")
    yield replace(meds, selection=replace(selection, critical_value=3.0))
    yield replace(meds, selection=replace(selection, rounding="down"))
    yield replace(meds, selection=replace(selection, first_pass="all"))
