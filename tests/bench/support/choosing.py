"""Rules that choose a depth of the memory without labels, for the benchmark `choosing`.

A rule sees the distances of training images, each left out of the memory, and of test images one at a time. It returns
image scores of the test images.

Legend: M training images, T test images, P patches, n images whose distances are sorted, R depths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.anomaly_maps import DINOMALY, MapSettings
from harness.evaluation import Evaluation
from harness.evaluation.readouts import image_scores
from harness.evaluation.thresholds import CONSISTENCY
from harness.features.encoder import Encoder
from harness.memory import KthNearest, Memory, MemoryEnsemble
from harness.selection import robust_max

RHOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
MEMORIES: dict[str, Memory] = {
    **{f"rho {rho:g}": MemoryEnsemble(ratio=rho) for rho in RHOS},
    **{f"rank {k}": KthNearest(rank=k) for k in (1, 2, 3)},
    **{f"rank {share:.0%}": KthNearest(share=share) for share in (0.01, 0.02, 0.05, 0.1)},
}
"""Depths that are one weighted sum of the sorted distances, by name."""
ALL_RHOS = tuple(f"rho {rho:g}" for rho in RHOS)
LOWEST = "lowest 1 %"
"""Depth that averages the smallest 1 % of the distances."""
DEPTHS = (*MEMORIES, LOWEST)
EVALUATION = Evaluation(size=64, maps=MapSettings(radius=0))
"""Quick maps: those of 256 pixels, blurred by 5 x 5, take sixteen times as long and hardly change a regret."""
TAIL = 0.05
"""Fraction of the training images whose scores are the upper tail."""


def weights(left: int, images: int) -> np.ndarray:
    """Return the weights of sorted distances to `left` of `images` training images at every depth, [R, n]."""
    lowest_n = np.arange(left) < max(1, np.ceil(0.01 * left))
    rows = [memory.rank_weights(left, images) for memory in MEMORIES.values()]
    return np.array([*rows, lowest_n / lowest_n.sum()], dtype=np.float32)


def scores_at_depths(distances: Iterable[np.ndarray], images: int) -> np.ndarray:
    """Return patch scores [R, N, P] at every depth from the distances [P, n] of each image."""
    found = []
    for distances_Pn in distances:
        found.append(weights(distances_Pn.shape[1], images) @ np.sort(distances_Pn, axis=1).T)
    return np.stack(found, axis=1)


@dataclass(frozen=True, eq=False)
class Case:
    """Scores of one contaminated training set and of its test images."""

    train: dict[str, np.ndarray]
    """Patch scores [M, P] of the training images by depth, each image left out."""
    test: dict[str, np.ndarray]
    """Patch scores [T, P] of the test images by depth."""
    halves: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    """Patch scores [M, P] of the training images by depth, against each half of them."""
    distances: Callable[[], Iterable[np.ndarray]]
    """Function that yields the distances [P, M] of each test image."""

    _known: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def image(self, depth: str) -> np.ndarray:
        """Return log image scores [T] at a depth."""
        if (key := ("test", depth)) not in self._known:
            self._known[key] = np.log(self.of_maps(self.test[depth]))
        return self._known[key]

    def left_out(self, depth: str) -> np.ndarray:
        """Return log image scores [M] of the training images at a depth."""
        if (key := ("train", depth)) not in self._known:
            self._known[key] = np.log(robust_max(self.train[depth]))
        return self._known[key]

    @staticmethod
    def of_maps(scores_TP: np.ndarray) -> np.ndarray:
        """Return image scores [T] from patch scores, as an experiment with `EVALUATION` does."""
        return image_scores(EVALUATION, Encoder(), scores_TP, DINOMALY)


Rule = Callable[[Case], np.ndarray]


def single(depth: str) -> Rule:
    """Return the rule that reads one depth."""
    return lambda case: case.image(depth)


def deviations(case: Case, depths: Sequence[str], *, spread: bool = True) -> np.ndarray:
    """Return log image scores [R, T] above those of the median training image, in robust deviations if `spread`."""
    rows = []
    for depth in depths:
        centre = np.median(train_M := case.left_out(depth))
        below_M = centre - train_M[train_M <= centre]
        unit = CONSISTENCY * np.median(below_M) if spread else 1.0
        rows.append((case.image(depth) - centre) / unit)
    return np.array(rows)


def largest(*depths: str, spread: bool = True) -> Rule:
    """Return the rule that takes the largest deviation of an image over depths."""
    return lambda case: deviations(case, depths, spread=spread).max(axis=0)


def average(*depths: str) -> Rule:
    """Return the rule that averages the deviations of an image over depths."""
    return lambda case: deviations(case, depths).mean(axis=0)


def two_depths(near: str, far: str) -> Rule:
    """Return the rule of `harness.memory.adaptive` at two depths."""

    def rule(case: Case) -> np.ndarray:
        factor = np.exp(np.median(case.left_out(near)) - np.median(case.left_out(far)))
        return case.of_maps(np.maximum(case.test[near], factor * case.test[far]))

    return rule


def geometric(*depths: str, contrast: float = 0.0) -> Rule:
    """Return the rule of the geometric mean of patch scores, over a power of the image's median."""

    def rule(case: Case) -> np.ndarray:
        scores_TP = np.exp(np.mean([np.log(case.test[depth] + 1e-6) for depth in depths], axis=0))
        return case.of_maps(scores_TP / np.median(scores_TP, axis=1, keepdims=True) ** contrast)

    return rule


def heaviest_tail(*depths: str) -> Rule:
    """Return the rule that reads the depth whose training scores have the heaviest upper tail, in MADs."""

    def weight(scores_M: np.ndarray) -> float:
        centre = np.median(scores_M)
        top = np.sort(scores_M)[-max(1, int(np.ceil(TAIL * len(scores_M)))) :]
        return float((top.mean() - centre) / np.median(np.abs(scores_M - centre)))

    def rule(case: Case) -> np.ndarray:
        tails = [weight(np.exp(case.left_out(depth))) for depth in depths]
        return case.image(depths[int(np.argmax(tails))])

    return rule


def agreeing_halves(*depths: str) -> Rule:
    """Return the rule that reads the depth at which two halves of the memory rank the training images most alike."""

    def agreement(case: Case, depth: str) -> float:
        ranks = [np.argsort(np.argsort(robust_max(half[depth]))) for half in case.halves]
        return float(np.corrcoef(*ranks)[0, 1])

    return lambda case: case.image(depths[int(np.argmax([agreement(case, d) for d in depths]))])


def weighted(power: float) -> Rule:
    """Return the rule rho = 1 with unequal draws: a training image has the weight 1 / (1 + z)^power.

    z is the larger robust deviation of the image's left-out scores at rho .05 and 1, at least 0.
    """

    def rule(case: Case) -> np.ndarray:
        views = []
        for depth in ("rho 0.05", "rho 1"):
            centre = np.median(train_M := case.left_out(depth))
            views.append(
                (train_M - centre) / (CONSISTENCY * np.median(centre - train_M[train_M <= centre]))
            )
        weights_M = (1 + np.maximum(np.max(views, axis=0), 0)) ** -power
        return case.of_maps(np.array([weighted_minimum(d, weights_M) for d in case.distances()]))

    return rule


def weighted_minimum(distances_PM: np.ndarray, weights_M: np.ndarray) -> np.ndarray:
    """Return the expected minimum [P] of M draws with replacement, with unequal probabilities of the images."""
    order_PM = np.argsort(distances_PM, axis=1)
    sorted_PM = np.take_along_axis(distances_PM, order_PM, axis=1)
    share_PM = np.cumsum((weights_M / weights_M.sum())[order_PM], axis=1)
    left_PM = np.maximum(1 - share_PM[:, :-1], 0) ** len(weights_M)
    return sorted_PM[:, 0] + (np.diff(sorted_PM, axis=1) * left_PM).sum(axis=1)


RULES: dict[str, Rule] = {
    **{depth: single(depth) for depth in DEPTHS},
    "adaptive: rank 2, 5 %": two_depths("rank 2", "rank 5%"),
    "adaptive: rank 2, 2 %": two_depths("rank 2", "rank 2%"),
    "adaptive: rank 2, 10 %": two_depths("rank 2", "rank 10%"),
    "adaptive: rank 3, 5 %": two_depths("rank 3", "rank 5%"),
    "adaptive: rho 1, .05": two_depths("rho 1", "rho 0.05"),
    "largest ratio: rank 3, 5 %": largest("rank 3", "rank 5%", spread=False),
    "largest z: rank 2, 5 %": largest("rank 2", "rank 5%"),
    "largest z: rho .05, 1": largest("rho 0.05", "rho 1"),
    "largest z: rho .1, 1": largest("rho 0.1", "rho 1"),
    "largest z: all rho": largest(*ALL_RHOS),
    "mean z: all rho": average(*ALL_RHOS),
    "geometric mean: all rho": geometric(*ALL_RHOS),
    "heaviest tail: all rho": heaviest_tail(*ALL_RHOS),
    "heaviest tail: ranks": heaviest_tail("rank 2", "rank 1%", "rank 2%", "rank 5%"),
    "halves agree: all rho": agreeing_halves(*ALL_RHOS),
    "drawn less often: power 1": weighted(1),
    "drawn less often: power 2": weighted(2),
    "contrast: rho .1": geometric("rho 0.1", contrast=0.5),
    "contrast: geometric mean": geometric(*ALL_RHOS, contrast=0.5),
}
"""Rules by name."""
