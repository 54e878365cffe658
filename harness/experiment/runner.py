"""Experiment, a value that prints, hashes and pickles; and `run`, the only function that sees every stage.

Legend: N images, P patches, S evaluation size in pixels.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from harness.config.fingerprint import added_field, canonical_repr
from harness.config.moved import recorded_name
from harness.datasets import Dataset
from harness.detectors import Detector
from harness.errors import InputError
from harness.evaluation import Evaluation
from harness.evaluation.sample_maps import sheet
from harness.experiment.measurement import measure, selection_counts
from harness.experiment.preparation import (
    Prepared,
    encode_dataset,
    memory_of,
    score_memories,
    teacher_of,
)
from harness.features.encoder import Encoder
from harness.features.teacher import Teacher, make_teachers
from harness.memory import MemoryEnsemble
from harness.noise import Noise, contaminate
from harness.runtime.compute import Compute, InProcess
from harness.runtime.progress_bars import ProgressBars
from harness.training import TrainingResult


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One cell of a study: everything that decides the numbers, and nothing else (no path, no machine)."""

    dataset: Dataset
    encoder: Encoder
    detector: Detector
    noise: Noise = Noise()
    seed: int = 0
    """Seed of the detector's training."""
    evaluation: Evaluation = Evaluation()
    """How maps and masks are compared."""
    categories: tuple[str, ...] | None = added_field(None)
    """Which categories are trained and tested on, of all that the dataset has; None for all, in one detector."""

    def __post_init__(self) -> None:
        made, memory = self.encoder.memory, memory_of(self.detector)
        if memory and memory.distance == "cosine" and made and not made.unit_length:
            raise InputError(
                f"The memory's cosine distance wants features of unit length, which {type(made).__name__} does not "
                'make: set the memory\'s distance to "euclidean", or choose other features.'
            )

    @property
    def key(self) -> str:
        """Digest of the value: equal experiments have equal keys on every machine."""
        return hashlib.sha256(canonical_repr(self).encode()).hexdigest()[:24]

    @property
    def params(self) -> dict[str, Any]:
        """All settings, flat: `detector.memory.ratio` and the like; a component's own key names its class."""
        return dict(_flatten("", self))

    @property
    def name(self) -> str:
        """What varies inside most studies, for one line of text; see `names`."""
        memory = memory_of(self.detector)
        parts = [self.detector.name, f"noise {self.noise.ratio:.0%}"]
        parts += [f"rho {memory.ratio:g}"] if memory else []
        parts += [", ".join(self.categories)] if self.categories else []
        parts += [f"seed {self.seed}"] if self.seed else []
        parts += [f"noise seed {self.noise.seed}"] if self.noise.seed else []
        return ", ".join(parts)


def names(experiments: Mapping[str, Experiment]) -> dict[str, str]:
    """Names that tell the experiments of a study apart, by key.

    Of those with one name, the first keeps it; the others' add what they set otherwise.
    """
    firsts: dict[str, Experiment] = {}
    found: dict[str, str] = {}
    for key, experiment in experiments.items():
        first = firsts.setdefault(experiment.name, experiment)
        found[key] = ", ".join([experiment.name, *_differences(experiment, first)])
    return found


def _differences(experiment: Experiment, first: Experiment) -> list[str]:
    """`setting=value` of what an experiment sets otherwise than another; a component of another class by its class."""
    usual, others = first.params, []
    differing = {
        setting: value
        for setting, value in experiment.params.items()
        if setting not in usual or usual[setting] != value
    }
    for setting, value in differing.items():
        if not any(setting.startswith(f"{component}.") for component in differing):
            others.append(f"{setting.rpartition('.')[2]}={value}")
    return list(dict.fromkeys(others))


@dataclass(frozen=True)
class Result:
    """What one experiment found."""

    experiment: Experiment
    data_digest: str
    """Digest of every image and mask of the dataset."""
    metrics: pd.DataFrame
    """Columns readout, category, metric, value; see `harness.evaluation`."""
    counts: pd.DataFrame
    """The achieved contamination, see `NoisySplit.counts`."""
    train: pd.DataFrame
    """Image, digest and whether it was injected, for every training image."""
    scores: pd.DataFrame
    """Image, category, whether it is anomalous, and its score, for every test image."""
    samples: Image.Image
    """Anomaly maps over a few test images, see `harness.evaluation.sample_maps`."""
    history: Mapping[str, TrainingResult]
    """Losses and selections of every training phase."""
    selections: pd.DataFrame
    """Columns phase, step, selected, contaminated: size and contamination of every selection."""
    seconds: float
    """Wall time of fitting, scoring and evaluating."""
    milliseconds: float
    """Wall time of scoring a test image, see `harness.experiment.measurement.Measurement`."""


def prepare(
    experiments: Iterable[Experiment], *, data: Path, cache: Path, compute: Compute
) -> dict[str, Prepared]:
    """Do the work that experiments share, where it is not done yet; return what each runs on, by key.

    Raises:
        InputError: the data or a setting cannot be used.
    """
    groups: dict[tuple[Dataset, Encoder], list[Experiment]] = {}
    teachers: list[Teacher] = []
    for experiment in experiments:
        teachers += [teacher] if (teacher := teacher_of(experiment.detector)) else []
        groups.setdefault((experiment.dataset, experiment.encoder), []).append(experiment)
    with ProgressBars() as bars:
        made = make_teachers(teachers, cache=cache, report=bars)
    prepared: dict[str, Prepared] = {}
    for (dataset, encoder), group in groups.items():
        encoded = encode_dataset(dataset, encoder, data=data, cache=cache, compute=compute)
        shared = replace(encoded, teachers=made)
        wanted = [(e.noise, memory) for e in group for memory in memories_of(e)]
        score_memories(shared, wanted, compute=compute)
        prepared |= {experiment.key: shared for experiment in group}
    return prepared


def memories_of(experiment: Experiment) -> list[MemoryEnsemble]:
    """The memories that are read when an experiment runs."""
    memory = memory_of(experiment.detector)
    return [*([memory] if memory else []), *experiment.evaluation.agreement]


def run(
    experiment: Experiment, *, data: Path, cache: Path, compute: Compute | None = None
) -> Result:
    """Run one experiment from images to metrics.

    Args:
        experiment: What to run.
        data: Root folder of the dataset.
        cache: Folder of the feature store; shared by all experiments.
        compute: Where to work; in this process by default.

    Raises:
        InputError: the data or a setting cannot be used; nothing half-written is left behind.
    """
    compute = compute or InProcess()
    prepared = prepare([experiment], data=data, cache=cache, compute=compute)
    return run_prepared(experiment, prepared[experiment.key], data=data, compute=compute)


def run_prepared(
    experiment: Experiment, prepared: Prepared, *, data: Path, compute: Compute
) -> Result:
    """Run one experiment on data that was prepared for it; see `run`."""
    start = time.perf_counter()
    split = contaminate(_samples_of(experiment, prepared), experiment.noise)
    detector = prepared.taught(experiment.detector)
    scorer = detector.fit(prepared.images(split.train), seed=experiment.seed, compute=compute)
    measured = measure(experiment, prepared, split, data, scorer)
    return Result(
        experiment=experiment,
        data_digest=prepared.data_digest,
        metrics=measured.metrics,
        counts=split.counts,
        train=split.train[["image", "category", "digest"]].assign(injected=split.injected_N),
        scores=split.test[["image", "category"]].assign(
            anomalous=split.test["defect"] != "good", score=measured.scores_N
        ),
        samples=sheet(
            experiment.evaluation,
            dataset=experiment.dataset,
            encoder=experiment.encoder,
            test=split.test,
            scores_NP=measured.scores_NP,
            rule=experiment.detector.maps,
            data=data,
        ),
        history=scorer.history,
        selections=selection_counts(scorer.history, split),
        seconds=time.perf_counter() - start,
        milliseconds=measured.milliseconds,
    )


def _samples_of(experiment: Experiment, prepared: Prepared) -> pd.DataFrame:
    """The samples of the experiment's categories.

    Raises:
        InputError: the dataset has not got one of them.
    """
    samples, wanted = prepared.samples, experiment.categories
    if wanted is None:
        return samples
    there = set(samples["category"])
    if missing := [category for category in wanted if category not in there]:
        raise InputError(
            f"{experiment.dataset.name} has no category {missing[0]!r} here. There: {', '.join(sorted(there))}."
        )
    return samples[samples["category"].isin(wanted)].reset_index(drop=True)


def _flatten(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(value):
        return [(prefix, value)]
    own = [(prefix, recorded_name(type(value)))] if prefix else []
    for field in dataclasses.fields(value):
        own += _flatten(f"{prefix}.{field.name}".lstrip("."), getattr(value, field.name))
    return own
