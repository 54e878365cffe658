"""Pseudo-labels of FUN-AD: likely normal images, labels of patches, and losses on these labels.

Legend: N images, P patches, B images in a batch, Q = B x P patches of a batch, C channels, E pairs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from baselines.patch_bank.nearest import DeviceRows, nearest_on_device


def likely_normal(
    scores_N: np.ndarray, rng: np.random.Generator, likely: float = 0.5, share: float = 0.5
) -> np.ndarray:
    """Return the indices of randomly drawn images, at least one, among those that are likely normal.

    An image is likely normal if its min-max-scaled score is below `likely`. `share` is the fraction of them to draw.

    >>> scores = np.repeat([0.1, 0.9], [30, 10])
    >>> len(likely_normal(scores, np.random.default_rng(0)))
    15
    """
    span = np.ptp(scores_N)
    relative_N = (scores_N - scores_N.min()) / span if span else np.zeros(len(scores_N))
    candidates = np.flatnonzero(relative_N < likely)
    return np.sort(rng.choice(candidates, max(1, int(share * len(candidates))), replace=False))


def relative_distances(squares_QK: Tensor, equal: float = 1e-2) -> Tensor:
    """Compute the squared distances [Q] to the nearest other patch of the memory bank, min-max-scaled to 0..1.

    Args:
        squares_QK: Squared distances to the two nearest patches.
        equal: Squared distances below this are set to 0: they belong to the patch itself.

    >>> relative_distances(torch.tensor([[0.0, 0.0], [0.0, 1.0], [4.0, 5.0]]))
    tensor([0.0000, 0.2500, 1.0000])
    """
    squares_QK = squares_QK.where(squares_QK >= equal, 0)
    nearest_Q = squares_QK[:, 0].where(squares_QK[:, 0] > 0, squares_QK[:, -1])
    low, high = nearest_Q.aminmax()
    return (nearest_Q - low) / (high - low) if high > low else torch.zeros_like(nearest_Q)


def mutual_pairs(nearest_Q: Tensor) -> Tensor:
    """Find the pairs [2, E] of patches that are each other's nearest neighbours, with the lower index first.

    >>> mutual_pairs(torch.tensor([1, 0, 3, 2, 2, 0]))
    tensor([[0, 2],
            [1, 3]])
    """
    own_Q = torch.arange(len(nearest_Q), device=nearest_Q.device)
    first = own_Q[(nearest_Q[nearest_Q] == own_Q) & (own_Q < nearest_Q)]
    return torch.stack([first, nearest_Q[first]])


def pairs_of(adapted_QC: Tensor) -> Tensor:
    """Find the pairs [2, E] of different patches of a batch that are each other's nearest other patch.

    Exact copies of a patch may be in no pair, because the second nearest of several copies is arbitrary.
    """
    return mutual_pairs(nearest_on_device(adapted_QC, DeviceRows.of(adapted_QC), 2)[1][:, 1])


def with_noise(clean_QC: Tensor, noisy_Q: Tensor, batch_BPC: Tensor) -> Tensor:
    """Return the patches, with Gaussian noise added to the patches selected by `noisy_Q`.

    The deviation of the noise in a channel is the largest deviation over the batch at any grid position.
    """
    if not noisy_Q.any() or len(batch_BPC) < 2:
        return clean_QC
    deviation_C = batch_BPC.std(dim=0).amax(dim=0)
    noise_QC = (
        torch.randn(clean_QC.shape).to(clean_QC) * deviation_C
    )  # drawn on the CPU: the same noise on every device
    return clean_QC + noise_QC * noisy_Q[:, None]


def discrimination_loss(score_Q: Tensor, label_Q: Tensor, *, balanced: bool = True) -> Tensor:
    """Compute the binary cross-entropy of the patch scores.

    If `balanced`, the loss is the sum of the means over each label that occurs; otherwise the mean over all patches.

    >>> half = torch.full((4,), 0.5)
    >>> float(discrimination_loss(half, torch.tensor([True, False, False, False])))
    1.3862943649291992
    """
    if not balanced:
        return functional.binary_cross_entropy(score_Q, label_Q.float())
    parts = [
        functional.binary_cross_entropy(score_Q[of_label], label_Q[of_label].float())
        for of_label in (label_Q, ~label_Q)
        if of_label.any()
    ]
    return torch.stack(parts).sum()


def mutual_smoothness(score_Q: Tensor, pairs_2E: Tensor) -> Tensor:
    """Compute half the mean absolute difference between the scores of paired patches.

    This is the mean distance of a score to the middle of its pair.

    >>> scores = torch.tensor([0.2, 0.4, 0.9, 0.1])
    >>> round(float(mutual_smoothness(scores, torch.tensor([[0, 2], [1, 3]]))), 6)
    0.25
    """
    if not pairs_2E.shape[1]:
        return score_Q.new_zeros(())
    return (score_Q[pairs_2E[0]] - score_Q[pairs_2E[1]]).abs().mean() / 2
