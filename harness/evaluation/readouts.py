"""Computation of all metrics from patch scores and masks; only this package reads masks.

The read-out of a metric names the images or the source behind the metric. `all` uses all test images. `unseen` excludes
the anomalies that were in the training set. Some metrics follow a release in its thresholds and in its masks. Their
names end in the name of that release.

Legend: N images, P patches, S evaluation size in pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness import anomaly_maps as maps
from harness.anomaly_maps import DINOMALY, MapSettings
from harness.config.fingerprint import added_field
from harness.datasets import GOOD, Dataset, unmarked
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.evaluation.thresholds import RULES, ThresholdRule
from harness.features.encoder import Encoder
from harness.images import RELEASED, MaskRule, read_mask, resize_mask
from harness.memory import MemoryEnsemble
from harness.metrics import (
    IMAGE_METRICS,
    PIXEL_METRICS,
    channel_sweep,
    image_sweep,
    object_sweep,
    pixel_sweep,
)
from harness.metrics.as_released import adeval200, dinomaly200_aupro
from harness.metrics.names import ALL, MEAN, UNSEEN
from harness.metrics.threshold_sweep import Sort, sort_in_place
from harness.runtime.compute import default_device, device_sort

SPRO_LIMIT = 0.05
"""False-positive rate up to which MVTec LOCO AD integrates its sPRO."""
TOGETHER = 64
"""Images whose maps are held at a time where only image scores are needed."""
STRIPS: Mapping[str, MaskRule] = {"meds": "dinomaly", "inp_former": "inp_former"}
"""Mask rules of the releases that evaluate with ADEval's strips, by the ending of their metrics.

The release of MeDS uses these rules for Dinomaly and for INP-Former.
"""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Settings for comparing anomaly maps with masks, and for optional measurements on the training images."""

    size: int = 256
    """Side of maps and masks at the comparison, in pixels."""
    mask_rule: MaskRule = "half"
    """Rule by which a pixel of a resized mask counts as defective; metrics named after a release use its own rule."""
    maps: MapSettings | None = added_field(None)
    """Settings for maps and image scores; None for the settings of the detector's authors."""
    training: bool = False
    """True to also measure how well the scores separate the training patches (see `harness.evaluation.theorem`)."""
    agreement: tuple[MemoryEnsemble, ...] = added_field(())
    """Memories whose ranking of the training images is compared with the detector's ranking.

    See `harness.evaluation.memory_agreement`.
    """
    ranking: bool = added_field(False)
    """True to measure how early a ranking of the training images finds the injected ones.

    See `harness.evaluation.label_ranking`.
    """
    thresholds: tuple[ThresholdRule, ...] = added_field(RULES)
    """Rules of decision thresholds to measure; without rules, no method scores its training images for them.

    See `harness.evaluation.thresholds` and `harness.evaluation.decisions`.
    """


def evaluate(
    evaluation: Evaluation,
    *,
    dataset: Dataset,
    encoder: Encoder,
    test: pd.DataFrame,
    seen_N: np.ndarray,
    scores_NP: np.ndarray,
    rule: MapSettings = DINOMALY,
    data: Path,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Compute all metrics per category, and their unweighted means over categories.

    Args:
        evaluation: Evaluation size, mask rule and map settings.
        dataset: Dataset of the test images; defines how its masks are read.
        encoder: Encoder whose resize and crop are applied to the masks as to the images.
        test: Rows of the sample table for the scored test images.
        seen_N: True where a test image was in the training set.
        scores_NP: Patch scores of the test images.
        rule: Settings for maps and image scores, used if `evaluation.maps` is None.
        data: Root of the dataset.

    Returns:
        A table with columns readout, category, metric, value, and the image scores [N].
    """
    scores_NP, rule = with_rule(evaluation, scores_NP, rule)
    rows: list[tuple[str, str, str, float]] = []
    scores_N = np.empty(len(test))
    for category in sorted(test["category"].unique()):
        of_category = (test["category"] == category).to_numpy()
        group = test[of_category]
        maps_NSS = maps.anomaly_maps(
            scores_NP[of_category], input_size=encoder.input_size, size=evaluation.size, rule=rule
        )
        scores_N[of_category] = rule.image_scores(scores_NP[of_category], maps_NSS)
        files = tuple(data / mask if isinstance(mask, str) else None for mask in group["mask"])
        rules = dict.fromkeys((evaluation.mask_rule, *RELEASED))
        masks = read_masks(files, dataset.mask_above, encoder, evaluation.size, tuple(rules))
        measured = _Measured(
            dataset, data, group, scores_N[of_category], evaluation.mask_rule, masks, maps_NSS
        )
        readouts = {ALL: np.ones(len(group), dtype=bool)}
        if seen_N[of_category].any():
            readouts[UNSEEN] = ~(seen_N[of_category] & (group["defect"] != GOOD).to_numpy())
        for readout, kept_N in readouts.items():
            rows += [
                (readout, category, metric, value) for metric, value in measured.metrics(kept_N)
            ]
        rows += [(ALL, category, metric, value) for metric, value in measured.published_metrics()]
    return with_means(
        pd.DataFrame(rows, columns=["readout", "category", "metric", "value"])
    ), scores_N


def image_scores(
    evaluation: Evaluation, encoder: Encoder, scores_NP: np.ndarray, rule: MapSettings
) -> np.ndarray:
    """Return the image scores [N] that `evaluate` computes from these patch scores [N, P]."""
    scores_NP, rule = with_rule(evaluation, scores_NP, rule)
    size = {"input_size": encoder.input_size, "size": evaluation.size}
    parts = [scores_NP[i : i + TOGETHER] for i in range(0, len(scores_NP), TOGETHER)]
    return np.concatenate(
        [rule.image_scores(part, maps.anomaly_maps(part, **size, rule=rule)) for part in parts]
    )


def with_rule(
    evaluation: Evaluation, scores_NP: np.ndarray, rule: MapSettings
) -> tuple[np.ndarray, MapSettings]:
    """Return the map settings of an evaluation, or those of the detector, with the scores that they apply to."""
    if evaluation.maps is None:
        return scores_NP, rule
    return rule.patches(scores_NP), evaluation.maps


def with_means(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all categories, followed by the unweighted mean of every metric over categories."""
    means = metrics.groupby(["readout", "metric"], sort=False)["value"].mean().reset_index()
    return pd.concat([metrics, means.assign(category=MEAN)], ignore_index=True)


@dataclass(frozen=True)
class _Measured:
    """Scores, maps and masks of one category's test images."""

    dataset: Dataset
    data: Path
    group: pd.DataFrame
    scores_N: np.ndarray
    rule: MaskRule
    masks: Mapping[MaskRule, np.ndarray]
    """Masks [N, S, S] by rule."""
    maps_NSS: np.ndarray

    @property
    def masked_N(self) -> np.ndarray:
        """True for normal images and for images with a mask: pixel metrics leave out defects that nobody marked."""
        return ~unmarked(self.group)

    def metrics(self, kept_N: np.ndarray) -> Iterator[tuple[str, float]]:
        """Yield the exact metrics over the kept images."""
        labels_N = (self.group["defect"] != GOOD).to_numpy()
        if isinstance(self.dataset, MVTecLOCO):
            yield from self._loco_metrics(kept_N, labels_N)
        else:
            images = image_sweep(labels_N[kept_N], self.scores_N[kept_N])
            yield from ((metric, measure(images)) for metric, measure in IMAGE_METRICS.items())
        pixels_N = kept_N & self.masked_N
        masks_NSS = self.masks[self.rule][pixels_N]
        pixels = pixel_sweep(masks_NSS, self.maps_NSS[pixels_N], sort=_sort())
        yield from ((metric, measure(pixels)) for metric, measure in PIXEL_METRICS.items())
        if self.group["object"].nunique() < len(self.group):
            names_N = self.group["object"].to_numpy()[kept_N]
            objects = object_sweep(names_N, labels_N[kept_N], self.scores_N[kept_N])
            for metric, measure in IMAGE_METRICS.items():
                yield metric.replace("image", "object"), measure(objects)

    def published_metrics(self) -> Iterator[tuple[str, float]]:
        """Yield metrics over all images as releases compute them, with their masks."""
        known_N = slice(None) if self.masked_N.all() else self.masked_N
        masks = {rule: self.masks[rule][known_N] for rule in RELEASED}
        maps_NSS = self.maps_NSS[known_N]
        yield "pixel_aupro_dinomaly", dinomaly200_aupro(masks["dinomaly"], maps_NSS)
        for release, rule in STRIPS.items():
            for metric, value in adeval200(masks[rule], maps_NSS).items():
                yield f"{metric}_{release}", value

    def _loco_metrics(
        self, kept_N: np.ndarray, labels_N: np.ndarray
    ) -> Iterator[tuple[str, float]]:
        """Yield image metrics and sPRO, averaged over logical and structural anomalies (protocol of MVTec LOCO AD).

        Each kind of anomaly is first measured alone against the normal images.
        """
        kinds_N = self.group["defect"].to_numpy()
        kinds = sorted(set(kinds_N[labels_N]))
        parts = [kept_N & (~labels_N | (kinds_N == kind)) for kind in kinds]
        sweeps = [image_sweep(labels_N[part], self.scores_N[part]) for part in parts]
        for metric, measure in IMAGE_METRICS.items():
            of_kinds = [measure(images) for images in sweeps]
            yield metric, float(np.mean(of_kinds))
            for kind, value in zip(kinds, of_kinds, strict=True):
                yield f"{metric}_{kind.removesuffix('_anomalies')}", value
        spro = [self._channels(part).aupro(SPRO_LIMIT) for part in parts]
        yield f"pixel_auspro_{SPRO_LIMIT:g}", float(np.mean(spro))

    def _channels(self, kept_N: np.ndarray) -> Any:
        """Return the threshold sweep over the annotated channels of the kept images, at the original image size."""
        assert isinstance(self.dataset, MVTecLOCO)
        group = self.group[kept_N]
        channels = [
            self.dataset.channels(self.data / m) if isinstance(m, str) else []
            for m in group["mask"]
        ]
        size = next(
            (found[0].mask_HW.shape for found in channels if found), self.maps_NSS.shape[1:]
        )
        return channel_sweep(channels, _Resized(self.maps_NSS[kept_N], *size), sort=_sort())


@dataclass(frozen=True)
class _Resized(Sequence[np.ndarray]):
    """Maps at the size of the original images; each map is resized on access."""

    maps_NSS: np.ndarray
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.maps_NSS)

    def __getitem__(self, i: Any) -> Any:
        return maps.resize_map(self.maps_NSS[i], self.height, self.width)


def _sort() -> Sort:
    device = default_device()
    return sort_in_place if device.type == "cpu" else device_sort(device)


def read_masks(
    masks: tuple[Path | None, ...],
    above: int,
    encoder: Encoder,
    size: int,
    rules: tuple[MaskRule, ...],
) -> dict[MaskRule, np.ndarray]:
    """Read masks as booleans [N, S, S] by rule, with the encoder's resize and crop."""
    packed = _packed_masks(masks, above, encoder, size, rules)
    return {
        rule: np.unpackbits(bits, axis=-1, count=size).view(bool) for rule, bits in packed.items()
    }


@functools.lru_cache(maxsize=16)
def _packed_masks(
    masks: tuple[Path | None, ...],
    above: int,
    encoder: Encoder,
    size: int,
    rules: tuple[MaskRule, ...],
) -> dict[MaskRule, np.ndarray]:
    """Read masks as bits [N, S, S / 8] by rule. A process keeps them, since its experiments share their test images."""
    read = {rule: np.zeros((len(masks), size, -(-size // 8)), dtype=np.uint8) for rule in rules}
    view = {"image_size": encoder.image_size, "crop_size": encoder.crop_size}
    for i, mask in enumerate(masks):
        if mask is not None:
            native_HW = read_mask(mask, above=above)
            for rule, bits_NSs in read.items():
                bits_NSs[i] = np.packbits(resize_mask(native_HW, size, rule, **view), axis=-1)
    return read
