"""Metrics of label correction: how early a ranking of the training images finds contaminated images.

The task is that of MeDS, section 5.5. Images are ranked by the mean of their highest patch scores. MeDS selects images
by the same score at the end of training (Eq. 11, t = T).

Legend: N training images, P patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.evaluation.readouts import with_means
from harness.metrics import image_sweep, inspection_depth
from harness.metrics.names import TRAINING
from harness.selection import robust_max

AUPRC, DEPTH = "label_auprc", "inspection_depth"


def ranking_metrics(injected_N: np.ndarray, suspicion_N: np.ndarray) -> dict[str, float]:
    """Compute average precision and inspection depth of a ranking; NaN if no image is contaminated."""
    return {
        AUPRC: image_sweep(injected_N, suspicion_N).average_precision(),
        DEPTH: inspection_depth(injected_N, suspicion_N),
    }


def ranking_quality(
    scores_NP: np.ndarray, injected_N: np.ndarray, categories: Sequence[str]
) -> pd.DataFrame:
    """Measure the ranking of the training images in every category that has contaminated images.

    Args:
        scores_NP: The detector's patch scores of the training images.
        injected_N: True where a training image is contaminated.
        categories: Name of every image's category.

    Returns:
        A table with columns readout ("training"), category, metric, value: rows per category, and their means.
    """
    suspicion_N, names_N = robust_max(scores_NP), np.array(categories)
    rows = [
        (TRAINING, str(name), metric, value)
        for name in np.unique(names_N[injected_N])
        for own in [names_N == name]
        for metric, value in ranking_metrics(injected_N[own], suspicion_N[own]).items()
    ]
    return with_means(pd.DataFrame(rows, columns=["readout", "category", "metric", "value"]))
