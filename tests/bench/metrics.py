"""All pixel metrics of 117 maps of 256 x 256 pixels, against one call of scikit-learn's AUROC on the same pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from harness.metrics import pixel_sweep
from harness.metrics.as_released import adeval200, dinomaly200_aupro
from tests.bench.support.timing import alternate, table

MAPS, SIZE = 117, 256


def smooth_maps() -> tuple[np.ndarray, np.ndarray]:
    """Masks with a few regions each on two thirds of the images, and smooth maps that react to them."""
    rng = np.random.default_rng(0)
    fields = ndimage.gaussian_filter(rng.normal(size=(MAPS, SIZE, SIZE)), (0, 12, 12))
    masks = fields > 2.2 * fields.std()
    masks[: MAPS // 3] = False
    noise = ndimage.gaussian_filter(rng.normal(size=masks.shape), (0, 3, 3))
    return masks, (noise / noise.std() + 1.5 * masks).astype(np.float32)


def all_metrics(masks: np.ndarray, maps: np.ndarray) -> tuple[float, ...]:
    """AUROC, AP, F1-max and AUPRO at three limits."""
    swept = pixel_sweep(masks, maps)
    aupro = (swept.aupro(0.3), swept.aupro(0.05), swept.aupro(1.0))
    return (swept.auroc(), swept.average_precision(), swept.f1max(), *aupro)


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    masks, maps = smooth_maps()
    flat_masks, flat_maps = masks.ravel(), maps.ravel()
    seconds = alternate(
        {
            "scikit-learn roc_auc_score": lambda: roc_auc_score(flat_masks, flat_maps),
            "ours, six exact metrics": lambda: all_metrics(masks, maps),
            "ours, as Dinomaly and ADEval": lambda: (
                dinomaly200_aupro(masks, maps),
                adeval200(masks, maps),
            ),
        },
        rounds=3,
    )
    assert abs(all_metrics(masks, maps)[0] - roc_auc_score(flat_masks, flat_maps)) < 1e-9
    return table(seconds, against="scikit-learn roc_auc_score")
