"""Search for MeDS' subsampling ratio, critical value, iterations and learning rate.   make sweep-search

The search is successive halving with the budgets of ASHA (Li et al., MLSys 2020), in rounds. In the first round, 18
settings train for a ninth of the profile's steps. The best third then trains for a third of the steps. The best third
of these settings, beside the profile's own setting, trains for all steps. Every round is a set of ordinary experiments
that Ray Tune runs side by side. Each tried setting therefore has a key, its results are found again, and settings are
compared after complete learning rate schedules. ASHA would compare trainings in the middle of a schedule, when the
learning rate is still high. Such a training is not an experiment of any study. The search stops no training early, and
a repeated search takes the same course.

By default no label decides. The objective is how well the final network's scores rank the training images as memory
ensembles do. Its value is the mean over three moderate subsampling ratios, which are the same for all settings
(`harness.evaluation.memory_agreement`). Sparse memories rank injected images high whatever the network does
(Theorem 1). Three kinds of networks therefore agree less. The first have learnt to reconstruct injected images. The
second were trained too little to distinguish images. The third left out too many normal images.

The objective cannot distinguish a network that is better than these memories from a network that is worse. The report
shows the objective beside the test image AUROC, which the search never uses. `--labelled-categories brick` declares
categories whose labels may be used. The image AUROC of these categories then decides, and the last round runs on the
other categories. The search runs at the profile's highest noise ratio.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import qmc

from harness.detectors.meds import MeDS
from harness.errors import InputError, UsageError
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.metrics.names import ALL, IMAGE_AUROC, TRAINING
from harness.training.optimizer import TrainingConfig
from sweeps.launch.rounds import Rounds
from sweeps.profiles.contract import Profile

SETTINGS = 18
"""Number of settings in the first round, including the profile's own."""
KEPT = 3
"""Factor by which the number of settings falls and the number of steps grows from round to round."""
ROUNDS = 3
REFERENCES = (0.05, 0.1, 0.2)
"""Subsampling ratios of the memory ensembles in the objective."""
LOWEST, HIGHEST = (0.02, 0.0, 0.2, 0.25), (0.5, 3.0, 2.0, 2.5)
"""Bounds of rho, of k, and of the factors on the profile's distillation steps and learning rates."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return the experiments of the first round; later rounds depend on its results.

    Raises:
        InputError: the profile lacks a training stage.
    """
    return next(rounds(profile))


def objective(labelled: tuple[str, ...]) -> tuple[str, str]:
    """Return the readout and the metric of the objective; higher is better."""
    return (ALL, IMAGE_AUROC) if labelled else (TRAINING, "memory_agreement")


def rounds(profile: Profile, labelled: tuple[str, ...] = ()) -> Rounds:
    """Yield the experiments of each round; receive their objective by key, without failed experiments.

    Args:
        profile: Profile that the search runs on.
        labelled: Categories whose labels may be used.

    Raises:
        InputError: the profile lacks a training stage, lacks a labelled category, or has no unlabelled category.
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
    """Return the categories that are not labelled; an empty tuple if no category is labelled."""
    if not labelled:
        return ()
    if unknown := [name for name in labelled if name not in profile.categories]:
        raise UsageError(
            f"--labelled-categories names the category {unknown[0]!r}, but the profile {profile.name} has no such "
            f"category. Its categories: {', '.join(profile.categories)}."
        )
    others = tuple(name for name in profile.categories if name not in labelled)
    if not others:
        raise UsageError(
            f"--labelled-categories names all categories of {profile.name}, so none is left to test the result of the "
            "search. Leave one category out, or leave out --labelled-categories: then no label decides."
        )
    return others


def _drawn(profile: Profile) -> list[MeDS]:
    """Draw settings evenly from the space (a Latin hypercube); rho and the factors are on a logarithmic scale."""
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
        raise InputError(
            "The study search needs a profile whose MeDS has distillation and fine-tuning. Choose another profile with "
            "--profile."
        )
    return meds.distillation, meds.finetuning


def _scaled(training: TrainingConfig, longer: float, faster: float = 1) -> TrainingConfig:
    return replace(
        training,
        steps=max(1, round(longer * training.steps)),
        learning_rate=float(f"{faster * training.learning_rate:.2g}"),
        final_learning_rate=float(f"{faster * training.final_learning_rate:.2g}"),
    )


def _shorter(meds: MeDS, times: int) -> MeDS:
    """Return the same MeDS with the steps of both stages divided by `times`."""
    distillation, finetuning = _stages(meds)
    return replace(
        meds,
        distillation=_scaled(distillation, 1 / times),
        finetuning=_scaled(finetuning, 1 / times),
    )
