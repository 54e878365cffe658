"""InReaCh (McIntosh and Albu, Inter-Realization Channels, ICCV 2023).

A patch that is normal occurs in many images: patches that are each other's nearest in two images form a channel, and
long, tight channels are the memory. What occurs in few images, like a defect, forms none.

Legend: S seed images, N images, P patches on a G x G grid, C channels of features, A associated patches, R = N x P
patches of all images, M members of all channels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patch_bank.pool import TOGETHER, PatchSource
from harness.anomaly_maps import INREACH
from harness.errors import InputError
from harness.features import CategoryImages, ImageSet
from harness.runtime.compute import Compute, default_device

BLOCK = 65_536
"""Members whose distances are computed at a time."""
TRANSPOSED = 1000.0
"""Mean squared difference between the mean training image (0..255) and its transpose from which on places matter."""


@dataclass(frozen=True, kw_only=True)
class InReaCh:
    """A memory of patches that reach from image to image."""

    seeds_per_category: int = 10
    """Images that all later ones of the category are compared with."""
    shuffle: bool = True
    """Draw the seeds; else they are the first images, as in the release. Its lists begin with clean images, which a
    method cannot know: here images are in no order that tells what they show."""
    min_channel_length: int = 3
    """Members, the seed's patch among them, that a channel must have more than."""
    std_factor: float | None = 5.0
    """A member stays if its distance to the channel's mean is under so many standard deviations of these distances,
    which empties channels whose members are all about equally far; None keeps all."""
    positional: Literal["on", "off", "auto"] = "off"
    """Whether a patch's place is a part of it; the release tests the mean training image (see `TRANSPOSED`)."""
    position_weight: float = 5.0
    """What the far end of the grid adds to a patch."""
    compat_index_swap: bool = False
    """Build channels from the columns of the associations as the release reads them, which is not as it wrote them."""

    name = "inreach"
    maps = INREACH

    def __post_init__(self) -> None:
        if self.seeds_per_category < 1:
            raise InputError(f"InReaCh needs at least 1 seed image, got {self.seeds_per_category}.")

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> BankScorer:
        """Build the channels of every category; `seed` decides which images are seeds.

        Raises:
            InputError: a category has no channel that is long and tight.
        """
        banks, surviving = [], []
        for number, category in enumerate(images.categories):
            order_N = np.arange(len(category.rows_N))
            if self.shuffle:
                np.random.default_rng([seed, number]).shuffle(order_N)
            prepare = None
            if self._placed(category):
                prepare = functools.partial(with_positions, weight=self.position_weight)
            shuffled = replace(category, rows_N=category.rows_N[order_N])
            features_NPC = PatchSource((shuffled,)).all()
            rows_RC, share = self._rows(prepare(features_NPC) if prepare else features_NPC, compute)
            banks.append(Bank(rows_RC, prepare=prepare))
            surviving.append(share)
        return BankScorer(
            banks=tuple(banks),
            compute=compute,
            squared=True,
            numbers={"surviving_channels": tuple(surviving)},
        )

    def _placed(self, category: CategoryImages) -> bool:
        if self.positional != "auto":
            return self.positional == "on"
        pixels_NHWC = category.features.pixels_NHWC
        if pixels_NHWC is None:
            raise InputError(
                'InReaCh decides by the pixels whether places matter (positional="auto"), but the encoder has not kept '
                'them: set its pixels=True, or positional to "on" or "off".'
            )
        return asymmetry(pixels_NHWC[category.rows_N].mean(axis=0)) >= TRANSPOSED

    def _rows(self, features_NPC: np.ndarray, compute: Compute) -> tuple[np.ndarray, float]:
        """The bank, and the share of channels that are long and tight."""
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
        return rows_RC[kept_R], left / len(np.unique(heads_A))


def associate(seeds_SPC: np.ndarray, item: tuple[int, np.ndarray]) -> np.ndarray:
    """Match the patches of some consecutive images with those of the seed images before each.

    A patch goes to the seed image whose nearest patch is nearest of all; it is associated if it is, in turn, the
    nearest patch of its own image to that one.

    Args:
        seeds_SPC: Patches of the first images.
        item: Number of the first of the images, and their patches [n, P, C].

    Returns:
        A row per association, [A, 4]: image, its patch, seed image, its patch.
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
    """Nearest patch in every seed image, squared distance to it, and whether it is mutual: all [S, P]."""
    affinity_SPQ = own_PC @ seeds_SPC.mT
    affinity_SPQ -= seeds_SPC.square().sum(dim=2)[:, None] / 2
    affinity_SPQ -= own_PC.square().sum(dim=1)[:, None] / 2
    nearest_SP = affinity_SPQ.argmax(dim=2)
    back_SQ = affinity_SPQ.argmax(dim=1)
    mutual_SP = back_SQ.gather(1, nearest_SP) == torch.arange(len(own_PC), device=own_PC.device)
    picked_SPC = torch.stack([seed[near] for seed, near in zip(seeds_SPC, nearest_SP, strict=True)])
    squares_SP = (picked_SPC - own_PC).square().sum(dim=2)
    return nearest_SP.cpu().numpy(), squares_SP.cpu().numpy(), mutual_SP.cpu().numpy()


def channels(
    found_A4: np.ndarray, patches: int, *, swapped: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Head and member [A] of every association, as positions among all patches, images one after the other.

    The head of a channel is the seed's patch. The release swaps the two patches when it reads them: the seed image's
    patch at the place of the member, and the member's image's patch at the place of the seed's.
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
    """Positions of the patches in channels that are long, without what is far from their mean; how many channels.

    Args:
        rows_RC: All patches.
        heads_A: Position of the head of every association's channel.
        members_A: Position of its member.
        min_channel_length: Members, with the head, that a channel must have more than, with and without the far ones.
        std_factor: Far are those at so many standard deviations of the members' distances or more; None for none.
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
    """Members of channels that have enough, ordered by channel."""
    order = np.argsort(channel_M, kind="stable")
    channel_M, rows_M = channel_M[order], rows_M[order]
    long_M = (
        np.bincount(channel_M)[channel_M] > min_channel_length
        if len(channel_M)
        else np.zeros(0, bool)
    )
    return channel_M[long_M], rows_M[long_M]


def _near(features_MC: np.ndarray, channel_M: np.ndarray, std_factor: float) -> np.ndarray:
    """Whether members, ordered by channel, are near the mean of theirs."""
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
    """Patches with the column and row of their place on a square grid, of which the far ends are near `weight`.

    Raises:
        InputError: P is not a square number.
    """
    images, patches, _ = features_NPC.shape
    side = math.isqrt(patches)
    if side**2 != patches:
        raise InputError(f"Places need a square grid of patches, got {patches} patches.")
    row_P, column_P = np.divmod(np.arange(patches, dtype=np.float32), side)
    places_P2 = np.stack([column_P, row_P], axis=1) * (weight / side)
    return np.concatenate(
        [features_NPC, np.broadcast_to(places_P2, (images, patches, 2)).astype(np.float32)], axis=2
    )


def asymmetry(mean_HWC: np.ndarray) -> float:
    """Mean squared difference between a square mean image and its transpose.

    >>> stripe = np.zeros((4, 4, 1))
    >>> stripe[0] = 100
    >>> asymmetry(stripe)
    3750.0
    """
    return float(np.square(mean_HWC - mean_HWC.transpose(1, 0, 2)).mean())
