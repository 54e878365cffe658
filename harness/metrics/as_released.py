"""Pixel metrics as the released code computes them, for comparison with published tables.

These metrics are biased; each function states how. Their values have separate names in reports and never replace the
exact metrics. The masks must be those of the release (`harness.images.MaskRule`).

Legend: N images, H x W pixels, S strips or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.metrics.exact import Images, check_maps
from harness.metrics.regions import region_shares
from harness.metrics.threshold_sweep import area_up_to


@dataclass(frozen=True)
class _Rates:
    """Fractions of normal pixels, of defective pixels and of regions (mean overlap) found at each threshold."""

    fpr_S: np.ndarray
    tpr_S: np.ndarray
    overlap_S: np.ndarray
    precision_S: np.ndarray
    """Precision; 1 where no pixel is found."""


def strips(
    values_HW: np.ndarray, edges_S: np.ndarray, side: Literal["left", "right"]
) -> np.ndarray:
    """Return what `np.searchsorted(edges_S, values_HW, side)` returns, several times as fast for even edges.

    If the edges are evenly spaced, one multiplication gives a value's strip to within one strip. Three comparisons then
    find the strip. The edges of nearly constant maps are uneven, due to rounding, and are searched.
    """
    count = len(edges_S)
    step = float(edges_S[-1] - edges_S[0]) / max(1, count - 1)
    even_S = float(edges_S[0]) + step * np.arange(count)
    if count < 3 or not step > 0 or not np.abs(edges_S - even_S).max() < step / 4:
        return np.searchsorted(edges_S, values_HW, side=side)
    place_HW = ((values_HW - edges_S[0]) * (1 / step) - 1).clip(0, count - 3).astype(np.intp)
    below = np.less_equal if side == "right" else np.less
    strip_HW = place_HW.copy()
    for after in range(3):
        strip_HW += below(edges_S[after:].take(place_HW), values_HW)
    return strip_HW


def _rates(masks_NHW: Images, maps_NHW: Images, edges_S: np.ndarray, side: str) -> _Rates:
    """Compute the rates at ascending thresholds. A score is found if >= ("left") or > ("right") the threshold."""
    normal_S, defective_S, overlap_S = np.zeros((3, len(edges_S) + 1))
    for i, shares in enumerate(region_shares(masks_NHW)):
        strip_HW = strips(maps_NHW[i], edges_S, "right" if side == "left" else "left")
        mask_HW = np.asarray(masks_NHW[i], dtype=bool)
        bins = len(edges_S) + 1
        normal_S += np.bincount(strip_HW[~mask_HW], minlength=bins)
        defective_S += np.bincount(strip_HW[mask_HW], minlength=bins)
        overlap_S += np.bincount(strip_HW[mask_HW], weights=shares, minlength=bins)
    found = [np.cumsum(counts[::-1])[::-1][1:] for counts in (normal_S, defective_S, overlap_S)]
    with np.errstate(invalid="ignore"):
        precision_S = np.where(found[0] + found[1] > 0, found[1] / (found[0] + found[1]), 1.0)
        return _Rates(
            found[0] / normal_S.sum(), found[1] / defective_S.sum(), found[2], precision_S
        )


def _range(maps_NHW: Images) -> tuple[np.floating, np.floating]:
    lowest = min(maps_NHW[i].min() for i in range(len(maps_NHW)))
    return lowest, max(maps_NHW[i].max() for i in range(len(maps_NHW)))


def dinomaly200_aupro(masks_NHW: Images, maps_NHW: Images) -> float:
    """Compute AUPRO as the released code of Dinomaly, RD4AD and their descendants does.

    The 200 thresholds are evenly spaced between the lowest and the highest score of all maps, without the highest
    score. A pixel is found if its score is strictly greater than the threshold. Thresholds with a false-positive rate
    below 0.3 are kept, and the rates are divided by the largest kept rate. The value is NaN if no kept threshold has a
    false positive, or if no pixel is defective.

    The bias: the value depends on the distribution of the scores, and a single high pixel can reduce it to 0.
    """
    check_maps(masks_NHW, maps_NHW)
    lowest, highest = _range(maps_NHW)
    if lowest == highest:
        return float("nan")
    # As in the released code, in the precision of the maps, which decides ties with the thresholds.
    edges_S = np.arange(lowest, highest, (highest - lowest) / 200)
    rates = _rates(masks_NHW, maps_NHW, edges_S, "right")
    kept = rates.fpr_S < 0.3
    rate, overlap = rates.fpr_S[kept][::-1], rates.overlap_S[kept][::-1]
    if not len(rate) or rate.max() == 0 or np.isnan(rates.tpr_S).any():
        return float("nan")
    return float(np.trapezoid(overlap, rate / rate.max()))


def adeval200(masks_NHW: Images, maps_NHW: Images) -> dict[str, float]:
    """Compute pixel AUROC, AP and AUPRO in 200 strips, as ADEval does for the releases of MeDS and INP-Former.

    The strips have 201 single-precision edges between the lowest and the highest score. The precision-recall area is a
    sum of trapezoids. All values are NaN for constant maps and without a defective pixel.

    The releases call ADEval's CUDA class, which counts pixels with the highest score twice. This function counts them
    once. The difference is negligible on real maps. Where many pixels share the highest score, AP differs by up to .5.

    The bias: the values are close to the exact ones only if the scores are spread over their whole range.
    """
    check_maps(masks_NHW, maps_NHW)
    lowest, highest = (float(value) for value in _range(maps_NHW))
    names = ("pixel_auroc", "pixel_ap", "pixel_aupro")
    if lowest == highest:
        return dict.fromkeys(names, float("nan"))
    edges_S = np.linspace(0, 1, 201, dtype=np.float32) * (highest - lowest) + lowest
    rates = _rates(masks_NHW, maps_NHW, edges_S, "left")
    if np.isnan(rates.tpr_S).any():
        return dict.fromkeys(names, float("nan"))
    fpr, tpr, overlap, precision = (
        values[::-1] for values in (rates.fpr_S, rates.tpr_S, rates.overlap_S, rates.precision_S)
    )
    areas = (
        float(np.trapezoid(tpr, fpr)),
        float(np.trapezoid(precision, tpr)),
        area_up_to(fpr, overlap, 0.3) / 0.3,
    )
    return dict(zip(names, areas, strict=True))
