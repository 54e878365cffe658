"""Search for MeDS' subsampling ratio, critical value, iterations and learning rate.   make sweep-search

Successive halving, as ASHA does it (Li et al., MLSys 2020), in rounds: 18 settings train for a ninth of the profile's
steps, the best third for a third, the best third of these, beside the profile's own, for all. Every round is a set of
ordinary experiments that Ray Tune runs side by side, so each setting that was tried has a key, is found again, and is
compared after a schedule that was finished: a training cut off in mid-schedule, with its rate still high, is no
experiment of anybody's, and ASHA would compare such. Nothing is stopped, and what is run again goes the same way.

By default no label decides. The objective is how well the final network's scores rank the training images as memories
do, mean over three moderate subsampling ratios, the same for all settings (`harness.evaluation.memory_agreement`).
Sparse memories rank injected images high whatever the network does (Theorem 1), so a network that has learnt to
rebuild them, one that was trained too little to tell images apart, and one that left out too many normal images all
agree less. It cannot tell a
network that is better than these memories from one that is worse; the report shows what it is worth, beside the test
image AUROC, which nothing here looks at. `--objective brick` declares categories whose labels may be looked at: their
image AUROC decides, and the last round runs on the other categories. At the profile's highest noise ratio.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import qmc

from harness.detectors.meds import MeDS
from harness.errors import InputError, UsageError
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.training.optimizer import TrainingConfig
from sweeps.launch.rounds import Rounds
from sweeps.profiles.contract import Profile

SETTINGS = 18
"""In the first round, the profile's own among them."""
KEPT = 3
"""One of so many goes on, and trains so many times as long."""
ROUNDS = 3
REFERENCES = (0.05, 0.1, 0.2)
"""Subsampling ratios of the memories that are agreed with."""
LOWEST, HIGHEST = (0.02, 0.0, 0.2, 0.25), (0.5, 3.0, 2.0, 2.5)
"""rho, k, and factors of the profile's steps of distillation and of its learning rate."""


def experiments(profile: Profile) -> list[Experiment]:
    """The first round; the later ones depend on it.

    Raises:
        InputError: the profile lacks a stage.
    """
    return next(rounds(profile))


def objective(labelled: tuple[str, ...]) -> tuple[str, str]:
    """Read-out and metric that decide: higher is better."""
    return ("all", "image_auroc") if labelled else ("training", "memory_agreement")


def rounds(profile: Profile, labelled: tuple[str, ...] = ()) -> Rounds:
    """Yield the experiments of a round; be sent their objective by key, without those that failed.

    Args:
        profile: What it runs on.
        labelled: Categories whose labels may be looked at.

    Raises:
        InputError: the profile lacks a stage, or has no such category, or no other.
    """
    others = _others(profile, labelled)
    settings = [profile.meds, *_drawn(profile)]
    for number in range(ROUNDS):
        last = number == ROUNDS - 1
        if last:
            settings = list(dict.fromkeys([*settings, profile.meds]))
        categories = others if last else labelled
        cells = {
            setting: _cells(profile, _shorter(setting, KEPT ** (ROUNDS - 1 - number)), categories)
            for setting in settings
        }
        found = yield [experiment for of_setting in cells.values() for experiment in of_setting]
        means = {
            setting: np.mean([found[e.key] for e in of_setting])
            for setting, of_setting in cells.items()
            if all(e.key in found for e in of_setting)
        }
        settings = sorted(means, key=lambda setting: -means[setting])[: -(-len(means) // KEPT)]


def _cells(profile: Profile, meds: MeDS, categories: tuple[str, ...]) -> list[Experiment]:
    references = tuple(replace(profile.meds.memory, ratio=ratio) for ratio in REFERENCES)
    experiment = profile.experiment(
        meds, max(profile.noise_ratios), evaluation=Evaluation(agreement=references)
    )
    return profile.cells([replace(experiment, categories=categories or None)])


def _others(profile: Profile, labelled: tuple[str, ...]) -> tuple[str, ...]:
    """The categories that are not labelled; none for no choice."""
    if not labelled:
        return ()
    if unknown := [name for name in labelled if name not in profile.categories]:
        raise UsageError(
            f"--objective names categories whose labels may be looked at, and {profile.name} has none called "
            f"{unknown[0]!r}. There: {', '.join(profile.categories)}."
        )
    others = tuple(name for name in profile.categories if name not in labelled)
    if not others:
        raise UsageError(
            f"--objective names all categories of {profile.name}, and none is left to test what is found. Leave one "
            "out, or leave out --objective: then no label decides."
        )
    return others


def _drawn(profile: Profile) -> list[MeDS]:
    """Settings that fill the space evenly (a Latin hypercube); rho and factors on a logarithmic scale."""
    low, high = np.array(LOWEST), np.array(HIGHEST)
    logarithmic = low > 0
    low[logarithmic], high[logarithmic] = np.log(low[logarithmic]), np.log(high[logarithmic])
    points = qmc.LatinHypercube(d=len(LOWEST), rng=np.random.default_rng(0)).random(SETTINGS - 1)
    values = low + points * (high - low)
    values[:, logarithmic] = np.exp(values[:, logarithmic])
    return [_setting(profile, *(float(f"{value:.2g}") for value in row)) for row in values]


def _setting(profile: Profile, rho: float, k: float, longer: float, faster: float) -> MeDS:
    meds = profile.meds
    distillation, finetuning = _stages(meds)
    return replace(
        meds,
        memory=replace(meds.memory, ratio=rho),
        selection=replace(meds.selection, critical_value=k),
        distillation=_scaled(distillation, longer, faster),
        finetuning=_scaled(finetuning, 1, faster),
    )


def _stages(meds: MeDS) -> tuple[TrainingConfig, TrainingConfig]:
    if meds.distillation is None or meds.finetuning is None:
        raise InputError("A search needs a profile whose MeDS distils and fine-tunes.")
    return meds.distillation, meds.finetuning


def _scaled(training: TrainingConfig, longer: float, faster: float = 1) -> TrainingConfig:
    return replace(
        training,
        steps=max(1, round(longer * training.steps)),
        learning_rate=float(f"{faster * training.learning_rate:.2g}"),
        final_learning_rate=float(f"{faster * training.final_learning_rate:.2g}"),
    )


def _shorter(meds: MeDS, times: int) -> MeDS:
    """The same with shorter stages."""
    distillation, finetuning = _stages(meds)
    return replace(
        meds,
        distillation=_scaled(distillation, 1 / times),
        finetuning=_scaled(finetuning, 1 / times),
    )
