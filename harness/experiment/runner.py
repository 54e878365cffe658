"""`run`, the only function that sees every stage of an experiment, from images to metrics.

Legend: N images, P patches, S evaluation size in pixels.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.datasets import Dataset
from harness.detectors import FileRecipe, Scorer
from harness.errors import InputError
from harness.evaluation.sample_maps import Sheet, choose_worst, sheet
from harness.experiment.measurement import measure, selection_counts, selection_passes
from harness.experiment.preparation import (
    Prepared,
    encode_dataset,
    score_memories,
    training_images,
)
from harness.experiment.spec import Experiment
from harness.features.encoder import Encoder
from harness.noise import NoisySplit, contaminate
from harness.runtime.compute import Compute, InProcess
from harness.runtime.progress_bars import ProgressBars
from harness.training import TrainingResult


@dataclass(frozen=True)
class Result:
    """Result of one experiment."""

    experiment: Experiment
    """Experiment that ran."""
    data_digest: str
    """Digest of every image and mask of the dataset."""
    metrics: pd.DataFrame
    """Columns readout, category, metric, value; see `harness.evaluation`."""
    counts: pd.DataFrame
    """Achieved contamination, see `harness.noise.NoisySplit.counts`."""
    train: pd.DataFrame
    """Training images: columns image, category, digest, injected."""
    scores: pd.DataFrame
    """Test images with label, score and decisions, see `harness.experiment.measurement.Measurement.images`."""
    samples: Sheet
    """Anomaly maps over a few test images, see `harness.evaluation.sample_maps`."""
    worst: Sheet
    """Anomaly maps over the worst misses and false alarms of each category."""
    history: Mapping[str, TrainingResult]
    """Losses and selections of every training phase, by name."""
    selections: pd.DataFrame
    """Size and contamination of every selection: columns phase, step, selected, contaminated."""
    passes: pd.DataFrame
    """Training images with every selection, see `harness.experiment.measurement.selection_passes`."""
    seconds: float
    """Wall time of fitting, scoring and evaluating, in seconds."""
    milliseconds: float
    """Wall time of scoring one test image, in milliseconds; see `harness.experiment.measurement.Measurement`."""


def prepare(
    experiments: Iterable[Experiment], *, data: Path, cache: Path, compute: Compute
) -> dict[str, Prepared]:
    """Compute missing results that experiments share; return the prepared dataset of each experiment, by key.

    Raises:
        InputError: the data or a setting cannot be used.
    """
    groups: dict[tuple[Dataset, Encoder], list[Experiment]] = {}
    recipes: dict[FileRecipe, None] = {}
    for experiment in experiments:
        recipes |= dict.fromkeys(experiment.detector.requirements.files)
        groups.setdefault((experiment.dataset, experiment.stored), []).append(experiment)
    with ProgressBars() as bars:
        files = {recipe: recipe.make(cache, report=bars) for recipe in recipes}
    prepared: dict[str, Prepared] = {}
    for (dataset, encoder), group in groups.items():
        encoded = encode_dataset(dataset, encoder, data=data, cache=cache, compute=compute)
        shared = replace(encoded, files=files)
        wanted = [(e.noise, memory) for e in group for memory in e.memories]
        score_memories(shared, wanted, compute=compute)
        prepared |= {experiment.key: shared for experiment in group}
    return prepared


def run(
    experiment: Experiment, *, data: str | Path, cache: str | Path, compute: Compute | None = None
) -> Result:
    """Run one experiment from images to metrics.

    Args:
        experiment: Experiment to run.
        data: Root folder of the dataset.
        cache: Folder of features, distances and scores, which all experiments share.
        compute: Processes that work; this process by default.

    Raises:
        InputError: the data or a setting cannot be used; no half-written file remains.
    """
    data, cache, compute = Path(data), Path(cache), compute or InProcess()
    prepared = prepare([experiment], data=data, cache=cache, compute=compute)
    return run_prepared(experiment, prepared[experiment.key], data=data, compute=compute)


def run_prepared(
    experiment: Experiment, prepared: Prepared, *, data: Path, compute: Compute
) -> Result:
    """Run one experiment on data that was prepared for it; see `run`."""
    start = time.perf_counter()
    split, scorer = fit_prepared(experiment, prepared, compute=compute)
    measured = measure(experiment, prepared, split, data, scorer)
    draw = functools.partial(
        sheet,
        experiment.evaluation,
        dataset=experiment.dataset,
        encoder=experiment.encoder,
        scores_NP=measured.scores_NP,
        rule=experiment.detector.maps,
        data=data,
    )
    scored = split.test.assign(score=measured.images["score"].to_numpy())
    return Result(
        experiment=experiment,
        data_digest=prepared.data_digest,
        metrics=measured.metrics,
        counts=split.counts,
        train=split.train[["image", "category", "digest"]].assign(injected=split.injected_N),
        scores=measured.images,
        samples=draw(test=split.test),
        worst=draw(test=scored, picks_of=choose_worst),
        history=scorer.history,
        selections=selection_counts(scorer.history, split),
        passes=selection_passes(scorer.history, split),
        seconds=time.perf_counter() - start,
        milliseconds=measured.milliseconds,
    )


def fit_prepared(
    experiment: Experiment, prepared: Prepared, *, compute: Compute
) -> tuple[NoisySplit, Scorer]:
    """Contaminate the training images and fit the detector to them; return the split and the fitted detector.

    Raises:
        InputError: the data or a setting cannot be used.
    """
    samples = _samples_of(experiment, prepared)
    split = contaminate(samples, experiment.noise)
    detector = prepared.with_files(experiment.detector)
    images = training_images(prepared, split.train, samples, detector)
    return split, detector.fit(images, seed=experiment.seed, compute=compute)


def _samples_of(experiment: Experiment, prepared: Prepared) -> pd.DataFrame:
    """Return the samples of the experiment's categories.

    Raises:
        InputError: the dataset does not contain one of the categories.
    """
    samples, wanted = prepared.samples, experiment.categories
    if wanted is None:
        return samples
    present = set(samples["category"])
    if missing := [category for category in wanted if category not in present]:
        raise InputError(
            f"The folder of {experiment.dataset.name} contains no category {missing[0]!r}. It contains: "
            f"{', '.join(sorted(present))}."
        )
    return samples[samples["category"].isin(wanted)].reset_index(drop=True)
