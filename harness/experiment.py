"""Experiment, a value that prints, hashes and pickles; and `run`, the only function that sees every stage.

Legend: N images, P patches, S evaluation size in pixels.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness import maps
from harness.compute import Compute, InProcess
from harness.datasets import Dataset, check_samples
from harness.detectors import Detector
from harness.distances import fill_tables
from harness.encoders import Encoder
from harness.features import CategoryFeatures, CategoryImages, FeatureStore, ImageSet
from harness.images import ImageIndex, read_mask, resize_mask
from harness.memory import MemoryEnsemble
from harness.metrics import IMAGE_METRICS, PIXEL_METRICS, image_sweep, pixel_sweep
from harness.noise import Noise, NoisySplit, contaminate
from harness.training import Trained


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One cell of a study: everything that decides the numbers, and nothing else (no path, no machine)."""

    dataset: Dataset
    encoder: Encoder
    detector: Detector
    noise: Noise = Noise()
    seed: int = 0
    """Seed of the detector's training."""
    map_size: int = 256
    """Side, in pixels, at which maps and masks are compared."""

    @property
    def key(self) -> str:
        """Digest of the value: equal experiments have equal keys on every machine."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:24]

    @property
    def params(self) -> dict[str, Any]:
        """All settings, flat: `detector.memory.ratio` and the like; a component's own key names its class."""
        return dict(_flatten("", self))

    @property
    def name(self) -> str:
        """What varies inside a study, for one line of text."""
        memory = memory_of(self.detector)
        parts = [self.detector.name, f"noise {self.noise.ratio:.0%}"]
        parts += [f"rho {memory.ratio:g}"] if memory else []
        parts += [f"seed {self.seed}"] if self.seed else []
        parts += [f"noise seed {self.noise.seed}"] if self.noise.seed else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Result:
    """What one experiment found."""

    experiment: Experiment
    data_digest: str
    """Digest of every image and mask of the dataset."""
    metrics: pd.DataFrame
    """Columns category, metric, value; the category `mean` is the unweighted mean over categories."""
    counts: pd.DataFrame
    """The achieved contamination, see `NoisySplit.counts`."""
    train: pd.DataFrame
    """Image, digest and whether it was injected, for every training image."""
    scores: pd.DataFrame
    """Image, category, whether it is anomalous, and its score, for every test image."""
    history: Mapping[str, Trained]
    """Losses and selections of every training phase."""
    selections: pd.DataFrame
    """Columns phase, step, selected, contaminated: size and contamination of every selection."""
    seconds: float
    """Wall time of fitting, scoring and evaluating."""


@dataclass(frozen=True)
class Prepared:
    """A dataset whose files were checked and whose images were encoded."""

    samples: pd.DataFrame
    """Sample table with digest and row in the store, ordered by category and row."""
    features: dict[str, CategoryFeatures]
    data_digest: str

    def images(self, samples: pd.DataFrame) -> ImageSet:
        """What a detector may see of these samples; in their order."""
        return ImageSet(
            tuple(
                CategoryImages(self.features[str(category)], group["row"].to_numpy())
                for category, group in samples.groupby("category")
            )
        )


def read_dataset(dataset: Dataset, data: Path, cache: Path) -> tuple[pd.DataFrame, str]:
    """Read and check a dataset; return its samples, in the store's order, and the digest of all its files.

    Raises:
        InputError: see `harness.datasets.check_samples`.
    """
    index = ImageIndex(cache / "images.json")
    samples = check_samples(dataset.samples(data), data, index)
    samples = samples.sort_values(["category", "digest", "image"], ignore_index=True)
    samples["row"] = samples.groupby("category").cumcount()
    masks = sorted(samples["mask"].dropna())
    mask_digests = [facts.digest for facts in index.facts([data / mask for mask in masks])]
    files = [
        *zip(samples["image"], samples["digest"], strict=True),
        *zip(masks, mask_digests, strict=True),
    ]
    lines = sorted(f"{path} {digest}" for path, digest in files)
    return samples, hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def prepare(experiment: Experiment, *, data: Path, cache: Path, compute: Compute) -> Prepared:
    """Do the work that experiments share, where it is not done yet: check files, encode, measure distances."""
    samples, data_digest = read_dataset(experiment.dataset, data, cache)
    pairs = {
        str(category): [
            (digest, data / image)
            for digest, image in zip(group["digest"], group["image"], strict=True)
        ]
        for category, group in samples.groupby("category")
    }
    features = FeatureStore(cache / "features").fill(experiment.encoder, pairs, compute=compute)
    if memory := memory_of(experiment.detector):
        trainable = samples[(samples["split"] == "train") | (samples["defect"] != "good")]
        requests = [
            (features[str(category)], group["row"].to_numpy())
            for category, group in trainable.groupby("category")
        ]
        fill_tables(requests, memory.distance, compute=compute)
    return Prepared(samples, features, data_digest)


def memory_of(detector: Detector) -> MemoryEnsemble | None:
    """The detector's memory ensemble, if it has one."""
    memory = getattr(detector, "memory", None)
    return memory if isinstance(memory, MemoryEnsemble) else None


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
    prepared = prepare(experiment, data=data, cache=cache, compute=compute)
    return run_prepared(experiment, prepared, data=data, compute=compute)


def run_prepared(
    experiment: Experiment, prepared: Prepared, *, data: Path, compute: Compute
) -> Result:
    """Run one experiment on data that was prepared for it; see `run`."""
    start = time.perf_counter()
    split = contaminate(prepared.samples, experiment.noise, dataset=experiment.dataset.name)
    scorer = experiment.detector.fit(
        prepared.images(split.train), seed=experiment.seed, compute=compute
    )
    scores_NP = scorer.score(prepared.images(split.test))
    metrics, scores_N = evaluate(experiment, split.test, scores_NP, data)
    return Result(
        experiment=experiment,
        data_digest=prepared.data_digest,
        metrics=metrics,
        counts=split.counts,
        train=split.train[["image", "category", "digest"]].assign(injected=split.injected_N),
        scores=split.test[["image", "category"]].assign(
            anomalous=split.test["defect"] != "good", score=scores_N
        ),
        history=scorer.history,
        selections=_selection_counts(scorer.history, split),
        seconds=time.perf_counter() - start,
    )


def evaluate(
    experiment: Experiment, test: pd.DataFrame, scores_NP: np.ndarray, data: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute all metrics per category from patch scores; return them and the image scores [N]."""
    rows = []
    scores_N = np.empty(len(test))
    categories = test["category"].to_numpy()
    for category in sorted(set(categories)):
        of_category = categories == category
        maps_NSS = maps.anomaly_maps(
            scores_NP[of_category],
            input_size=experiment.encoder.input_size,
            size=experiment.map_size,
        )
        scores_N[of_category] = maps.image_scores(maps_NSS)
        group = test[of_category]
        masks = tuple(data / mask if isinstance(mask, str) else None for mask in group["mask"])
        masks_NSS = read_masks(
            masks, experiment.dataset.mask_above, experiment.encoder, experiment.map_size
        )
        images = image_sweep((group["defect"] != "good").to_numpy(), scores_N[of_category])
        pixels = pixel_sweep(masks_NSS, maps_NSS)
        rows += [(category, metric, measure(images)) for metric, measure in IMAGE_METRICS.items()]
        rows += [(category, metric, measure(pixels)) for metric, measure in PIXEL_METRICS.items()]
    metrics = pd.DataFrame(rows, columns=["category", "metric", "value"])
    means = (
        metrics.groupby("metric", sort=False)["value"].mean().reset_index().assign(category="mean")
    )
    return pd.concat([metrics, means], ignore_index=True), scores_N


@functools.lru_cache(maxsize=32)
def read_masks(
    masks: tuple[Path | None, ...], above: int, encoder: Encoder, size: int
) -> np.ndarray:
    """Masks of test images as booleans [N, S, S], seen through the encoder's resize and crop; read once per process."""
    masks_NSS = np.zeros((len(masks), size, size), dtype=bool)
    for i, mask in enumerate(masks):
        if mask is not None:
            native_HW = read_mask(mask, above=above)
            if encoder.crop_size is not None:
                native_HW = encoder.crop(resize_mask(native_HW, encoder.image_size))
            masks_NSS[i] = resize_mask(native_HW, size)
    masks_NSS.flags.writeable = False
    return masks_NSS


def _selection_counts(history: Mapping[str, Trained], split: NoisySplit) -> pd.DataFrame:
    rows = [
        (
            phase,
            step,
            int(selection.selected_N.sum()),
            int((selection.selected_N & split.injected_N).sum()),
        )
        for phase, trained in history.items()
        for step, selection in trained.selections
    ]
    return pd.DataFrame(rows, columns=["phase", "step", "selected", "contaminated"])


def _flatten(prefix: str, value: Any) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(value):
        return [(prefix, value)]
    own = [(prefix, type(value).__name__)] if prefix else []
    for field in dataclasses.fields(value):
        own += _flatten(f"{prefix}.{field.name}".lstrip("."), getattr(value, field.name))
    return own
