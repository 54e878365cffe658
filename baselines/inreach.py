"""InReaCh (McIntosh and Albu, Inter-Realization Channels, ICCV 2023).

A normal patch occurs in many images. Patches of different images that are each other's nearest neighbours form a
channel. Long and tight channels become the memory bank. A defect occurs in few images and forms no long channel.

Legend: S seed images, N images, P patches on a G x G grid, C channels of features, A associated patches, R = N x P
patches of all images, M members of all channels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patch_bank.pool import TOGETHER, PatchSource
from harness.anomaly_maps import INREACH
from harness.detectors import Requirements
from harness.detectors.arrays import parts_of
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.runtime.compute import Compute, default_device

BLOCK = 65_536
"""Number of members whose distances are computed at a time."""
TRANSPOSED = 1000.0
"""Minimum of `asymmetry` of the mean training image (0..255) at which `positional="auto"` turns positions on."""


@dataclass(frozen=True, kw_only=True)
class InReaCh:
    """Detector whose memory bank holds the patches that recur in many training images."""

    seeds_per_category: int = 10
    """Number of seed images, with which all later images of the category are compared."""
    shuffle: bool = True
    """True if the seed images are drawn at random; False uses the first images, as in the release. The release's lists
    begin with clean images, which a method cannot know. Here, the order of images does not depend on their content."""
    min_channel_length: int = 3
    """Number of members that a channel must exceed; the seed's patch counts as a member."""
    std_factor: float | None = 5.0
    """Limit on a member's distance to the channel's mean, in standard deviations of the channel's distances. Members
    at or beyond the limit are removed, so channels with nearly equal distances become empty. None keeps all members."""
    positional: Literal["on", "off", "auto"] = "off"
    """Choice whether a patch includes its grid position. "auto" tests the mean training image, as in the release
    (see `TRANSPOSED`)."""
    position_weight: float = 5.0
    """Coordinate value at the far end of the grid, if positions are part of a patch."""
    compat_index_swap: bool = False
    """True if channels are built from swapped columns of the associations. The release reads the columns in another
    order than it writes them."""

    name = "inreach"
    title = "InReaCh"
    maps = INREACH
    requirements = Requirements()

    def __post_init__(self) -> None:
        if self.seeds_per_category < 1:
            raise InputError(
                f"InReaCh's seeds_per_category must be at least 1, got {self.seeds_per_category}."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Build the channels of every category; `seed` determines the seed images.

        Raises:
            InputError: a category has no long and tight channel, or "auto" lacks pixels, or the grid is not square.
        """
        banks, surviving = [], []
        for number, category in enumerate(images.categories):
            order_N = np.arange(len(category.rows_N))
            if self.shuffle:
                np.random.default_rng([seed, number]).shuffle(order_N)
            prepare = self._with_positions if self._placed(category) else None
            shuffled = replace(category, rows_N=category.rows_N[order_N])
            features_NPC = PatchSource((shuffled,)).all()
            prepared_NPC = prepare(features_NPC) if prepare else features_NPC
            kept_R, share = self._rows(prepared_NPC, compute)
            rows_RC = prepared_NPC.reshape(-1, prepared_NPC.shape[2])[kept_R]
            images_R = order_N[kept_R // prepared_NPC.shape[1]]
            banks.append(Bank(rows_RC, prepare=prepare, images_R=images_R))
            surviving.append(share)
        return BankScorer(
            banks=tuple(banks),
            compute=compute,
            squared=True,
            fitted_to=images,
            fit_statistics={"surviving_channels": tuple(surviving)},
        )

    def restore(self, arrays: Mapping[str, np.ndarray]) -> BankScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the patches, and whether they have positions."""
        banks = [
            Bank.of_arrays(part, self._with_positions if part["prepared"].item() else None)
            for part in parts_of(arrays)
        ]
        return BankScorer(banks=tuple(banks), squared=True)

    def _with_positions(self, features_NPC: np.ndarray) -> np.ndarray:
        return with_positions(features_NPC, self.position_weight)

    def _placed(self, category: CategoryImages) -> bool:
        if self.positional != "auto":
            return self.positional == "on"
        pixels_NHWC = category.features.pixels_NHWC
        if pixels_NHWC is None:
            raise InputError(
                'InReaCh with positional="auto" needs the pixels of the training images, but the encoder did not keep '
                'them. Set pixels=True on the encoder, or set positional to "on" or "off".'
            )
        return asymmetry(pixels_NHWC[category.rows_N].mean(axis=0)) >= TRANSPOSED

    def _rows(self, features_NPC: np.ndarray, compute: Compute) -> tuple[np.ndarray, float]:
        """Return the indices of the memory bank's patches, and the fraction of channels that are long and tight."""
        count = len(features_NPC)
        items = [
            (start, features_NPC[start : start + TOGETHER]) for start in range(0, count, TOGETHER)
        ]
        work = functools.partial(associate, features_NPC[: self.seeds_per_category])
        found = list(compute.map(work, items, label="associating patches"))
        patches = features_NPC.shape[1]
        heads_A, members_A = channels(
            np.concatenate(found), patches, swapped=self.compat_index_swap
        )
        rows_RC = features_NPC.reshape(-1, features_NPC.shape[2])
        kept_R, left = tight(
            rows_RC,
            heads_A,
            members_A,
            min_channel_length=self.min_channel_length,
            std_factor=self.std_factor,
        )
        if not len(kept_R):
            raise InputError(
                f"InReaCh found no channel of more than {self.min_channel_length} patches in {count} images. Use more "
                "images, a smaller min_channel_length, or a larger std_factor."
            )
        return kept_R, left / len(np.unique(heads_A))


def associate(seeds_SPC: np.ndarray, item: tuple[int, np.ndarray]) -> np.ndarray:
    """Match the patches of consecutive images with the patches of the seed images that precede each image.

    For each patch, the nearest patch among all preceding seed images is found. The two patches are associated if the
    match is mutual: no other patch of the image is nearer to the seed's patch.

    Args:
        seeds_SPC: Patches of the seed images, which are the first images.
        item: Index of the first of the consecutive images, and their patches [n, P, C].

    Returns:
        A row per association, [A, 4]: image, patch of the image, seed image, patch of the seed image.
    """
    start, features_nPC = item
    seeds = torch.from_numpy(seeds_SPC).to(default_device())
    found = [np.zeros((0, 4), dtype=np.int64)]
    for image, features_PC in enumerate(features_nPC, start):
        before = seeds[: min(image, len(seeds))]
        if len(before):
            nearest_SP, squares_SP, mutual_SP = _match(
                torch.from_numpy(features_PC).to(seeds), before
            )
            winner_P = squares_SP.argmin(axis=0)
            patch_P = np.arange(len(winner_P))
            match_P = nearest_SP[winner_P, patch_P]
            rows_P4 = np.stack([np.full_like(patch_P, image), patch_P, winner_P, match_P], axis=1)
            found.append(rows_P4[mutual_SP[winner_P, patch_P]])
    return np.concatenate(found)


def _match(
    own_PC: torch.Tensor, seeds_SPC: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nearest patches in every seed image, squared distances, and whether the matches are mutual: all [S, P]."""
    half_P1 = own_PC.square().sum(dim=1)[:, None] / 2
    found = [_match_seed(own_PC, half_P1, seed_PC) for seed_PC in seeds_SPC]
    nearest_SP, squares_SP, mutual_SP = (
        torch.stack(part).cpu().numpy() for part in zip(*found, strict=True)
    )
    return nearest_SP, squares_SP, mutual_SP


def _match_seed(
    own_PC: torch.Tensor, half_P1: torch.Tensor, seed_PC: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the rows of `_match` for one seed image; only one image's P x P numbers exist at a time."""
    affinity_PQ = own_PC @ seed_PC.mT
    affinity_PQ -= seed_PC.square().sum(dim=1) / 2
    affinity_PQ -= half_P1
    nearest_P, back_Q = affinity_PQ.argmax(dim=1), affinity_PQ.argmax(dim=0)
    mutual_P = back_Q[nearest_P] == torch.arange(len(own_PC), device=own_PC.device)
    return nearest_P, (seed_PC[nearest_P] - own_PC).square().sum(dim=1), mutual_P


def channels(
    found_A4: np.ndarray, patches: int, *, swapped: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return the head and the member [A] of every association, as indices into the patches of all images.

    The head of a channel is the patch of the seed image. With `swapped`, the two patch numbers are exchanged, as the
    release does when reading. The head is then the seed image's patch at the member's grid position, and vice versa.
    """
    image, of_image, seed, of_seed = found_A4.T
    if swapped:
        of_seed, of_image = of_image, of_seed
    return seed * patches + of_seed, image * patches + of_image


def tight(
    rows_RC: np.ndarray,
    heads_A: np.ndarray,
    members_A: np.ndarray,
    *,
    min_channel_length: int = 3,
    std_factor: float | None = 5.0,
) -> tuple[np.ndarray, int]:
    """Return the indices of the patches in long channels, without distant members, and the number of these channels.

    Args:
        rows_RC: All patches.
        heads_A: Index of the channel's head, for every association.
        members_A: Index of the member, for every association.
        min_channel_length: Number of members, including the head, that a channel must exceed, both before and after
            the distant members are removed.
        std_factor: Limit, in standard deviations of the channel's distances, from which on a member is distant.
            None keeps all members.
    """
    heads, channel_A = np.unique(heads_A, return_inverse=True)
    channel_M = np.concatenate([np.arange(len(heads)), channel_A])
    rows_M = np.concatenate([heads, members_A])
    channel_M, rows_M = _of_long(channel_M, rows_M, min_channel_length)
    if std_factor is not None and len(rows_M):
        near_M = _near(rows_RC[rows_M], channel_M, std_factor)
        channel_M, rows_M = _of_long(channel_M[near_M], rows_M[near_M], min_channel_length)
    return rows_M, len(np.unique(channel_M))


def _of_long(
    channel_M: np.ndarray, rows_M: np.ndarray, min_channel_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Select the members of channels with more than `min_channel_length` members, ordered by channel."""
    order = np.argsort(channel_M, kind="stable")
    channel_M, rows_M = channel_M[order], rows_M[order]
    long_M = (
        np.bincount(channel_M)[channel_M] > min_channel_length
        if len(channel_M)
        else np.zeros(0, bool)
    )
    return channel_M[long_M], rows_M[long_M]


def _near(features_MC: np.ndarray, channel_M: np.ndarray, std_factor: float) -> np.ndarray:
    """Test which members, ordered by channel, are near the mean of their channel."""
    _, starts, sizes = np.unique(channel_M, return_index=True, return_counts=True)
    means = np.add.reduceat(features_MC, starts, axis=0, dtype=np.float64) / sizes[:, None]
    number_M = np.repeat(np.arange(len(sizes)), sizes)
    distances_M = np.concatenate(
        [
            np.linalg.norm(features_MC[i : i + BLOCK] - means[number_M[i : i + BLOCK]], axis=1)
            for i in range(0, len(features_MC), BLOCK)
        ]
    )
    centres = np.repeat(np.add.reduceat(distances_M, starts) / sizes, sizes)
    deviations = np.sqrt(np.add.reduceat((distances_M - centres) ** 2, starts) / sizes)
    return distances_M < std_factor * np.repeat(deviations, sizes)


def with_positions(features_NPC: np.ndarray, weight: float) -> np.ndarray:
    """Append the scaled column and row of every patch on a square grid; the values at the far end are near `weight`.

    Raises:
        InputError: P is not a square number.
    """
    images, patches, _ = features_NPC.shape
    side = math.isqrt(patches)
    if side**2 != patches:
        raise InputError(f"Grid positions need a square grid of patches, got {patches} patches.")
    row_P, column_P = np.divmod(np.arange(patches, dtype=np.float32), side)
    places_P2 = np.stack([column_P, row_P], axis=1) * (weight / side)
    return np.concatenate(
        [features_NPC, np.broadcast_to(places_P2, (images, patches, 2)).astype(np.float32)], axis=2
    )


def asymmetry(mean_HWC: np.ndarray) -> float:
    """Compute the mean squared difference between a square mean image and its transpose.

    >>> stripe = np.zeros((4, 4, 1))
    >>> stripe[0] = 100
    >>> asymmetry(stripe)
    3750.0
    """
    return float(np.square(mean_HWC - mean_HWC.transpose(1, 0, 2)).mean())
