"""Estimate of the remaining time and disk space of a study, from the speed of this machine on a few images.

Legend: N images of a category, M of them that can be in a training set, P patches, C channels.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from harness.config.moved import recorded_name
from harness.config.settings import steps_of
from harness.datasets import Dataset
from harness.distances import block_distances
from harness.experiment.preparation import (
    Prepared,
    candidates_of,
    files_of,
    read_dataset,
    score_requests,
)
from harness.experiment.spec import Experiment
from harness.features import CategoryFeatures, FeatureStore
from harness.features.backbone import has_local_weights
from harness.features.encoder import Encoder
from harness.features.encoding import Encoded, encode
from harness.images import ImageSource
from harness.memory.distance_tables import TableRequest
from harness.memory.scores import TABLE_BUDGET
from harness.runtime.compute import single_threaded

ENCODED, COMPARED = 4, 16
"""Numbers of images that are encoded, and of random images that are compared, to measure this machine's speed."""


@dataclass(frozen=True)
class Step:
    """Cost of one kind of work that experiments share."""

    what: str
    """Name of the work."""
    wanted: int
    """Number of items that the study needs."""
    missing: int
    """Number of items that the cache lacks."""
    seconds: float
    """Seconds for the missing items on one device."""
    gigabytes: float
    """Gigabytes that the missing items take in the cache."""


@dataclass(frozen=True)
class CostEstimate:
    """Estimate of the remaining cost of a study."""

    missing: Mapping[str, Experiment]
    """Unfinished experiments by key."""
    steps: tuple[Step, ...]
    """Costs of the shared work."""
    seconds: Mapping[str, float]
    """Seconds per unfinished experiment on one device, by key; only for classes of detectors that were run before."""

    to_download: tuple[str, ...] = ()
    """Names of the encoders whose weights are not on this machine; the estimate did not ask their hub."""

    @property
    def unknown(self) -> list[str]:
        """Sorted titles of the detectors whose duration is unknown."""
        return sorted(
            {e.detector.title for key, e in self.missing.items() if key not in self.seconds}
        )

    def total(self, devices: int, at_once: int | None = None) -> float:
        """Return the seconds of all work whose duration is known.

        Args:
            devices: Number of devices.
            at_once: Maximum number of concurrent experiments; None for one per device.
        """
        shared = sum(step.seconds for step in self.steps)
        return shared / devices + sum(self.seconds.values()) / (at_once or devices)


def forecast(
    experiments: Mapping[str, Experiment],
    *,
    data: Path,
    cache: Path,
    finished: set[str],
    rates: Mapping[str, float],
) -> CostEstimate:
    """Estimate the cost of a study's unfinished experiments and of the entries that the cache lacks.

    Args:
        experiments: All experiments of a study by key; they share one dataset.
        data: Root of the dataset.
        cache: Folder of features and distances.
        finished: Keys of finished experiments.
        rates: Seconds per training step, by the class of a detector (see `harness.tracking.Tracker.rates`).

    Raises:
        InputError: the data or an encoder cannot be used.
    """
    missing = {key: e for key, e in experiments.items() if key not in finished}
    groups: dict[tuple[Dataset, Encoder], list[Experiment]] = defaultdict(list)
    for experiment in missing.values():
        groups[experiment.dataset, experiment.stored].append(experiment)
    steps = []
    to_download = []
    for (dataset, own), group in groups.items():
        encoder = _without_download(own)
        if encoder != own:
            to_download.append(own.name)
        samples, digest = read_dataset(dataset, data, cache)
        files = files_of(samples, data)
        entries = FeatureStore(cache / "features").entries(encoder, files)
        features = {name: CategoryFeatures(entry) for name, entry in entries.items()}
        probe = _Throughput.of(
            encoder, [file for pairs in files.values() for _, file in pairs][:ENCODED]
        )
        steps.append(_encoding(samples, entries, probe))
        steps += _memories(Prepared(samples, features, digest), group, probe)
    seconds = {
        key: rates[kind] * steps_of(experiment.params)
        for key, experiment in missing.items()
        if (kind := recorded_name(type(experiment.detector))) in rates
    }
    steps = [*_files(missing.values(), cache), *steps]
    return CostEstimate(missing, tuple(steps), seconds, tuple(to_download))


def _without_download(encoder: Encoder) -> Encoder:
    """Return the encoder, with random weights if its own would have to be downloaded from a hub.

    Encoding takes the same time with random weights. Without the file, no cache has features of the hub's weights. An
    encoder that stores pixels alone never runs and needs no weights.
    """
    if encoder.weights != "hub" or not encoder.features or has_local_weights(encoder):
        return encoder
    return replace(encoder, weights="random")


def _files(experiments: Iterable[Experiment], cache: Path) -> Iterator[Step]:
    """Yield a step per kind of file that detectors require; its duration is unknown and counts as 0."""
    recipes = {recipe for e in experiments for recipe in e.detector.requirements.files}
    for kind in sorted({recipe.kind for recipe in recipes}):
        of_kind = [recipe for recipe in recipes if recipe.kind == kind]
        missing = [recipe for recipe in of_kind if not recipe.path(cache).is_file()]
        yield Step(kind, len(of_kind), len(missing), seconds=0, gigabytes=0)


@dataclass(frozen=True)
class _Throughput:
    """Speed of this machine, measured on a few images."""

    encoded: Encoded
    seconds_per_image: float
    seconds_per_pair: float

    @classmethod
    def of(cls, encoder: Encoder, files: Sequence[ImageSource]) -> _Throughput:
        """Measure the encoding of a few images after a warm-up, and the comparison of random patches of their shape."""
        with single_threaded():
            encode(encoder, files[:1])
            start = time.perf_counter()
            encoded = encode(encoder, files)
            seconds_per_image = (time.perf_counter() - start) / len(files)
            shape = COMPARED, *encoded.memory_NPC.shape[1:]
            noise_NPC = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
            unit_NPC = noise_NPC / np.linalg.norm(noise_NPC, axis=2, keepdims=True)
            for count in (1, COMPARED):  # the first comparison on a GPU compiles its kernel
                features_nPC = unit_NPC[:count].astype(np.float16)
                start = time.perf_counter()
                block_distances(features_nPC, features_nPC, distance="cosine", both=True)
                seconds = time.perf_counter() - start
        return cls(encoded, seconds_per_image, seconds / (COMPARED * (COMPARED + 1) / 2))

    @property
    def bytes_per_image(self) -> int:
        """Bytes per image in the feature store."""
        encoded = self.encoded
        arrays = [encoded.memory_NPC, *encoded.targets, encoded.prefix_NTC, encoded.pixels_NHWC]
        return sum(array[0].nbytes for array in arrays if array is not None)


def _encoding(samples: pd.DataFrame, entries: Mapping[str, Path], probe: _Throughput) -> Step:
    sizes = samples.groupby("category").size()
    missing = sum(int(sizes[name]) for name, entry in entries.items() if not entry.is_dir())
    return Step(
        "images to encode",
        len(samples),
        missing,
        missing * probe.seconds_per_image,
        missing * probe.bytes_per_image / 1e9,
    )


def _memories(prepared: Prepared, group: Sequence[Experiment], probe: _Throughput) -> list[Step]:
    """Return the steps of computing image distances and memory scores."""
    wanted = [(e.noise, memory) for e in group for memory in e.memories]
    requests = {request.entry: request for request in score_requests(prepared, wanted)}
    if not requests:
        return []
    absent = [request for entry, request in requests.items() if not entry.is_dir()]
    patches = probe.encoded.memory_NPC.shape[1]
    candidates = candidates_of(prepared)
    images = dict(
        zip(prepared.features.values(), prepared.samples.groupby("category").size(), strict=True)
    )
    kinds = {(r.features, r.memory.distance, r.memory.precision) for r in requests.values()}
    needed = {(r.features, r.memory.distance, r.memory.precision) for r in absent}
    pairs, left, stored = 0, 0, 0
    for features, distance, precision in kinds:
        (columns_M, count) = candidates[features], images[features]
        size = 4 * count * patches * len(columns_M)
        own = len(columns_M) * (len(columns_M) + 1) // 2 + (count - len(columns_M)) * len(columns_M)
        pairs += own
        table = TableRequest(features, columns_M, distance, precision)
        if (features, distance, precision) in needed and not table.entry.is_dir():
            left += own
            stored += size * (size <= TABLE_BUDGET)
    scores = sum(4 * patches * images[request.features] for request in absent)
    return [
        Step(
            "pairs of images to compare", pairs, left, left * probe.seconds_per_pair, stored / 1e9
        ),
        Step("memories to read", len(requests), len(absent), 0.0, scores / 1e9),
    ]
