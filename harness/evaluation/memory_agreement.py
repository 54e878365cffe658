"""Agreement between a detector and memory ensembles on the ranking of the training images; needs no labels.

Legend: N training images, P patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from harness.evaluation.readouts import with_means
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.metrics.names import TRAINING
from harness.selection import robust_max

METRIC = "memory_agreement"


def agreement(
    scores_NP: np.ndarray,
    images: ImageSet,
    categories: Sequence[str],
    memories: Sequence[MemoryEnsemble],
) -> pd.DataFrame:
    """Compute the rank correlation between image scores of a detector and of memories, averaged over the memories.

    Args:
        scores_NP: The detector's patch scores of the training images.
        images: The training images.
        categories: Name of every image's category.
        memories: Memory ensembles of these images, for the comparison.

    Returns:
        A table with columns readout, category, metric, value: a row per category and their mean.
    """
    ours_N, names_N = robust_max(scores_NP), np.array(categories)
    theirs = [robust_max(memory_scores(images, images, memory)) for memory in memories]
    rows = [
        (
            TRAINING,
            name,
            METRIC,
            float(np.mean([_rank_correlation(ours_N[own], each_N[own]) for each_N in theirs])),
        )
        for name in np.unique(names_N)
        for own in [names_N == name]
    ]
    return with_means(pd.DataFrame(rows, columns=["readout", "category", "metric", "value"]))


def _rank_correlation(one_N: np.ndarray, other_N: np.ndarray) -> float:
    """Compute Spearman's rank correlation; 0 if all values of one vector are equal, where it is undefined.

    >>> _rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([1.0, 4.0, 5.0]))
    1.0
    >>> _rank_correlation(np.ones(3), np.arange(3.0))
    0.0
    """
    # scipy.stats is avoided: its import takes longer than the planning of a small study.
    one_N, other_N = (
        pd.Series(values).rank().to_numpy() - (len(values) + 1) / 2 for values in (one_N, other_N)
    )
    scale = float(np.sqrt((one_N @ one_N) * (other_N @ other_N)))
    return float(one_N @ other_N) / scale if scale else 0.0
