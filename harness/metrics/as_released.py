"""Pixel metrics as released code computes them, to compare with published tables. Biased: see each function.

Values of these functions are reported under their own names, never in place of the exact ones.

Legend: N images, H x W pixels, S strips or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.metrics.exact import Images, check_maps
from harness.metrics.regions import region_shares
from harness.metrics.threshold_sweep import area_up_to


@dataclass(frozen=True)
class _Rates:
    """Shares of normal pixels, of defective pixels and of regions (mean overlap) found at each threshold."""

    fpr_S: np.ndarray
    tpr_S: np.ndarray
    overlap_S: np.ndarray
    precision_S: np.ndarray
    """1 where nothing is found."""


def _rates(masks_NHW: Images, maps_NHW: Images, edges_S: np.ndarray, side: str) -> _Rates:
    """Rates at ascending thresholds; side "left" finds scores >= the threshold, "right" scores > it."""
    normal_S, defective_S, overlap_S = np.zeros((3, len(edges_S) + 1))
    for i, shares in enumerate(region_shares(masks_NHW)):
        strip_HW = np.searchsorted(edges_S, maps_NHW[i], side="right" if side == "left" else "left")
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
    """AUPRO as Dinomaly, RD4AD and their descendants release it.

    200 thresholds evenly spaced between the lowest and the highest score of all maps, the highest left out, a pixel
    found when its score is strictly greater; thresholds with a false-positive rate below 0.3 are kept and the rate is
    rescaled by the largest one kept. Depends on how the scores are spread: one high pixel can take it to 0; NaN when
    no kept threshold has a false positive.
    """
    check_maps(masks_NHW, maps_NHW)
    lowest, highest = _range(maps_NHW)
    if lowest == highest:
        return float("nan")
    # In the precision of the maps, as the code that this follows: it decides ties with the thresholds.
    edges_S = np.arange(lowest, highest, (highest - lowest) / 200)
    rates = _rates(masks_NHW, maps_NHW, edges_S, "right")
    kept = rates.fpr_S < 0.3
    rate, overlap = rates.fpr_S[kept][::-1], rates.overlap_S[kept][::-1]
    if not len(rate) or rate.max() == 0:
        return float("nan")
    return float(np.trapezoid(overlap, rate / rate.max()))


def adeval200(masks_NHW: Images, maps_NHW: Images) -> dict[str, float]:
    """Pixel AUROC, AP and AUPRO in 200 strips, as ADEval gives them to the releases of MeDS and INP-Former.

    201 single-precision edges between the lowest and the highest score; precision-recall area by trapezoids. Close to
    the exact values where scores are spread over the whole range, far off where they are not. NaN for constant maps.
    """
    check_maps(masks_NHW, maps_NHW)
    lowest, highest = (float(value) for value in _range(maps_NHW))
    names = ("pixel_auroc", "pixel_ap", "pixel_aupro")
    if lowest == highest:
        return dict.fromkeys(names, float("nan"))
    edges_S = np.linspace(0, 1, 201, dtype=np.float32) * (highest - lowest) + lowest
    rates = _rates(masks_NHW, maps_NHW, edges_S, "left")
    fpr, tpr, overlap, precision = (
        values[::-1] for values in (rates.fpr_S, rates.tpr_S, rates.overlap_S, rates.precision_S)
    )
    areas = (
        float(np.trapezoid(tpr, fpr)),
        float(np.trapezoid(precision, tpr)),
        area_up_to(fpr, overlap, 0.3) / 0.3,
    )
    return dict(zip(names, areas, strict=True))
