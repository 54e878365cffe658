"""Search for MeDS' subsampling ratio, critical value, iterations and learning rate.   make sweep-search

The search runs on Ray Tune: Optuna's TPE suggests settings, and ASHA stops bad ones (`harness.cluster.search`). Every
setting climbs rungs. On the first it trains for a ninth of the profile's steps, on the second for a third, on the last
for all. Each rung is an ordinary experiment with its own complete learning rate schedule, so it has a key, is tracked
and is found again. Trainings are never compared in the middle of a schedule, when the learning rate is still high. A
setting goes on if its objective is among the best third that reached the rung before it.

The first nine settings are the profile's own and eight that are drawn evenly; the profile's own trains on all rungs.
TPE suggests the others after all results of the first nine. Neither TPE nor ASHA sees results in the order in which
they were computed. The search therefore takes the same course on any number of machines, and again after it was killed.
Other processors round differently, so on them a search may take another course. The same holds for versions of Optuna
and Ray Tune with other rules.

By default no label decides. The objective is how well the final network's scores rank the training images as memory
ensembles do. Its value is the mean over three moderate subsampling ratios, which are the same for all settings
(`harness.evaluation.memory_agreement`). Sparse memories rank injected images high whatever the network does
(Theorem 1). Three kinds of networks therefore agree less. The first have learnt to reconstruct injected images. The
second were trained too little to distinguish images. The third left out too many normal images.

The objective cannot distinguish a network that is better than these memories from a network that is worse. The report
shows the objective beside the test image AUROC, which the search never uses. `--labelled-categories brick` declares
categories whose labels may be used. The image AUROC of these categories then decides. The last rung runs on the other
categories, and its results suggest and stop nothing. The search runs at the profile's highest noise ratio.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.stats import qmc

from harness.detectors.meds import MeDS
from harness.errors import InputError, UsageError
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.experiment.search import Grid, Range, Search, Setting
from harness.metrics.names import ALL, IMAGE_AUROC, TRAINING
from harness.training.optimizer import TrainingConfig
from sweeps.profiles.contract import Profile

SETTINGS = 18
"""Number of settings, including the profile's own."""
BATCH = 9
"""Number of settings that are suggested together."""
FACTOR, RUNGS = 3, 3
"""Factor by which the number of steps grows from rung to rung, and the number of rungs."""
REFERENCES = (0.05, 0.1, 0.2)
"""Subsampling ratios of the memory ensembles in the objective."""
RATIOS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5)
"""Searched subsampling ratios. Memories of all ratios are scored before the search, in one pass of distances."""
CRITICAL_VALUES = Range(low=0.0, high=3.0)
LONGER = Range(low=0.2, high=2.0, logarithmic=True)
"""Searched factors on the profile's distillation steps."""
FASTER = Range(low=0.25, high=2.5, logarithmic=True)
"""Searched factors on the profile's learning rates."""


def experiments(profile: Profile) -> list[Experiment]:
    """Return the experiments that no result chooses: the first rung of the first settings.

    Raises:
        InputError: the profile lacks a training stage.
    """
    return search(profile).known


def search(profile: Profile, labelled: tuple[str, ...] = ()) -> Search:
    """Return the search on a profile.

    Args:
        profile: Profile that the search runs on.
        labelled: Categories whose labels may be used.

    Raises:
        InputError: the profile lacks a training stage, lacks a labelled category, or has no unlabelled category.
    """
    others = _others(profile, labelled)
    _stages(profile.meds)
    own = profile.meds.memory.ratio
    ratios = tuple(sorted({*RATIOS, own}))
    space: dict[str, Range | Grid] = {
        "rho": Grid(values=ratios),
        "k": CRITICAL_VALUES,
        "longer": LONGER,
        "faster": FASTER,
    }
    categories = (labelled, labelled, others)
    climb = functools.partial(_experiments, profile, categories)
    first = {"rho": own, "k": profile.meds.selection.critical_value, "longer": 1.0, "faster": 1.0}
    return Search(
        space=space,
        start=(first, *drawn(space, BATCH - 1)),
        experiments=climb,
        objective=(ALL, IMAGE_AUROC) if labelled else (TRAINING, "memory_agreement"),
        shared=tuple(each for ratio in ratios for each in climb({**first, "rho": ratio}, 0)),
        rungs=RUNGS,
        judged=RUNGS - 1 if labelled else RUNGS,
        factor=FACTOR,
        settings=SETTINGS,
    )


def _experiments(
    profile: Profile, categories: tuple[tuple[str, ...], ...], setting: Setting, rung: int
) -> list[Experiment]:
    """Return the experiments of a setting on a rung, which has its own categories; empty for all."""
    meds = _shorter(_meds(profile.meds, setting), FACTOR ** (RUNGS - 1 - rung))
    references = tuple(replace(profile.meds.memory, ratio=ratio) for ratio in REFERENCES)
    experiment = profile.experiment(
        meds, max(profile.noise_ratios), evaluation=Evaluation(agreement=references)
    )
    return profile.cells([replace(experiment, categories=categories[rung] or None)])


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


def drawn(space: Mapping[str, Range | Grid], count: int, seed: int = 0) -> list[Setting]:
    """Draw settings evenly from a space (a Latin hypercube)."""
    sampler = qmc.LatinHypercube(d=len(space), rng=np.random.default_rng(seed))
    return [
        {name: _at(values, place) for (name, values), place in zip(space.items(), row, strict=True)}
        for row in sampler.random(count)
    ]


def _at(values: Range | Grid, place: float) -> float:
    """Return the value at a place in [0, 1) of a range or a grid."""
    if isinstance(values, Grid):
        return values.values[int(place * len(values.values))]
    low, high = values.low, values.high
    if values.logarithmic:
        return float(low * (high / low) ** place)
    return float(low + place * (high - low))


def _meds(meds: MeDS, setting: Setting) -> MeDS:
    """Return MeDS with a setting, whose numbers are rounded to two digits."""
    k, longer, faster = (float(f"{setting[name]:.2g}") for name in ("k", "longer", "faster"))
    distillation, finetuning = _stages(meds)
    return replace(
        meds,
        memory=replace(meds.memory, ratio=setting["rho"]),
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
