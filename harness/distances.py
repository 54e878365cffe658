"""Image-to-image nearest-neighbour distances: the one pass from which every memory is an index and a minimum (Eq. 1).

D[n, p, m] is the distance of patch p of image n to its nearest patch of image m. The distance of a
patch to a memory made of the images S is the minimum of D[n, p, m] over m in S, whatever S is: so
one pass over all images that can ever be in a training set serves every subsampling ratio, ensemble
size, seed, noise ratio and noise seed.

Legend: N query images, P patches of a query, M bank images, Q patches of a bank image, C channels.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from harness.compute import Compute, default_device
from harness.errors import InputError
from harness.features import CategoryFeatures, CategoryImages, open_array, publish

Distance = Literal["cosine", "euclidean"]
SHARD = 32
"""Bank images per item of work."""
QUERIES = 16
"""Query images whose distances are held in memory at a time."""
DRAFT = re.compile(r"\.\d+$")
"""A table being written has the process id behind its name."""


def image_distances(
    queries_NPC: np.ndarray,
    bank_MQC: np.ndarray,
    *,
    distance: Distance = "cosine",
    device: torch.device | None = None,
) -> np.ndarray:
    """Distance of every query patch to its nearest patch of every bank image.

    Args:
        queries_NPC: Features of the query images, any float type; computed in single precision.
        bank_MQC: Features of the bank images. For "cosine" both sides must have unit length per
        patch.
        distance: "cosine" is 1 - cos in [0, 2] (the release of MeDS), "euclidean" the Euclidean
        distance (the paper).
        device: Where to compute; the first GPU or the CPU by default.

    Returns:
        float32 [N, P, M].

    Raises:
        InputError: the shapes do not fit, the distance is unknown, or a feature is NaN or infinite.

    >>> east, north = [1.0, 0.0], [0.0, 1.0]
    >>> image_distances(np.array([[east, north]]), np.array([[east], [north]]))
    array([[[0., 1.],
            [1., 0.]]], dtype=float32)
    """
    if queries_NPC.ndim != 3 or bank_MQC.ndim != 3 or queries_NPC.shape[2] != bank_MQC.shape[2]:
        raise InputError(
            f"queries and bank must be images x patches x channels of equal channels, got {queries_NPC.shape} and "
            f"{bank_MQC.shape}."
        )
    if distance not in ("cosine", "euclidean"):
        raise InputError(f"distance must be 'cosine' or 'euclidean', got {distance!r}.")
    device = device or default_device()
    bank = _finite(bank_MQC, "bank", device)
    out_NPM = np.empty((*queries_NPC.shape[:2], len(bank_MQC)), dtype=np.float32)
    products_PQ = torch.empty(queries_NPC.shape[1], bank_MQC.shape[1], device=device)
    for image in range(len(queries_NPC)):
        query_PC = _finite(queries_NPC[image], f"query image {image}", device)
        nearest_MP = torch.empty(len(bank), len(query_PC), device=device)
        for bank_QC, nearest_P in zip(bank, nearest_MP, strict=True):
            _nearest(query_PC, bank_QC, distance, products_PQ, nearest_P)
        out_NPM[image] = nearest_MP.T.cpu().numpy()
    return out_NPM


def _nearest(
    query_PC: Tensor, bank_QC: Tensor, distance: Distance, products_PQ: Tensor, nearest_P: Tensor
) -> None:
    """Write the distance of each query patch to its nearest patch of one bank image into `nearest_P`.

    One product per pair of images: it stays in a core's cache until its minimum is taken, and its bits do not depend
    on which other images are asked for.
    """
    torch.mm(query_PC, bank_QC.T, out=products_PQ)
    if distance == "cosine":
        torch.amax(products_PQ, dim=1, out=nearest_P)
        # Rounding can take a cosine slightly over 1, and a distance must not be negative.
        nearest_P.neg_().add_(1).clamp_(min=0)
    else:
        products_PQ.neg_().add_(bank_QC.square().sum(dim=1) / 2)
        torch.amin(products_PQ, dim=1, out=nearest_P)
        nearest_P.mul_(2).add_(query_PC.square().sum(dim=1)).clamp_(min=0).sqrt_()


def _finite(features: np.ndarray, name: str, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)).to(device)
    if not torch.isfinite(tensor).all():
        raise InputError(
            f"The features of the {name} contain NaN or infinity: the encoder or the image is broken."
        )
    return tensor


@dataclass(frozen=True)
class DistanceTable:
    """Distances of all images of a category (rows) to those that can be in a training set (columns), on disk."""

    folder: Path

    @property
    def distances_NPM(self) -> np.ndarray:
        """Memory-mapped float32 [N, P, M]."""
        return open_array(self.folder / "distances.npy")

    @property
    def columns_M(self) -> np.ndarray:
        """Row in the store of each column's image, ascending."""
        return open_array(self.folder / "columns.npy")


def fill_tables(
    requests: Sequence[tuple[CategoryFeatures, np.ndarray]], distance: Distance, *, compute: Compute
) -> None:
    """Compute the missing tables of categories, sharded over bank images.

    Args:
        requests: For each category, its features and the rows of the images that can be in a
        training set.
        distance: See `image_distances`.
        compute: Where to compute.
    """
    missing = [
        (features, rows)
        for features, rows in requests
        if not _folder(features, distance, rows).is_dir()
    ]
    shards = [
        (features, rows[start : start + SHARD])
        for features, rows in missing
        for start in range(0, len(rows), SHARD)
    ]
    results = compute.map(functools.partial(_shard_distances, distance), shards, label="distances")
    for features, rows in missing:
        _write_table(_folder(features, distance, rows), features, rows, results)


def _shard_distances(distance: Distance, shard: tuple[CategoryFeatures, np.ndarray]) -> np.ndarray:
    features, rows = shard
    return image_distances(features.memory_NPC, features.memory_NPC[rows], distance=distance)


def _write_table(
    folder: Path, features: CategoryFeatures, rows: np.ndarray, shards: Iterator[np.ndarray]
) -> None:
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True, exist_ok=True)
    shape = (*features.memory_NPC.shape[:2], len(rows))
    table = np.lib.format.open_memmap(
        draft / "distances.npy", mode="w+", dtype=np.float32, shape=shape
    )
    for start in range(0, len(rows), SHARD):
        table[:, :, start : start + SHARD] = next(shards)
    table.flush()
    np.save(draft / "columns.npy", rows)
    publish(draft, folder)


def _folder(features: CategoryFeatures, distance: Distance, rows: np.ndarray) -> Path:
    key = hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:16]
    return features.folder / f"distances-{distance}-{key}"


def distances_between(
    queries: CategoryImages, bank: CategoryImages, distance: Distance
) -> Iterator[np.ndarray]:
    """Yield, for the query images in order and a few at a time, their distances float32 [n, P, M] to the bank's images.

    They come from a table that has the bank's images as columns, or are computed where there is
    none.
    """
    table = _covering_table(bank, distance)
    for start in range(0, len(queries.rows_N), QUERIES):
        rows = queries.rows_N[start : start + QUERIES]
        if table is None:
            features = queries.features.memory_NPC[rows]
            yield image_distances(
                features, bank.features.memory_NPC[bank.rows_N], distance=distance
            )
        else:
            columns = np.searchsorted(table.columns_M, bank.rows_N)
            yield np.stack([table.distances_NPM[row][:, columns] for row in rows])


def _covering_table(bank: CategoryImages, distance: Distance) -> DistanceTable | None:
    """A finished table of the bank's category that has all its images as columns."""
    for file in sorted(bank.features.folder.glob(f"distances-{distance}-*/columns.npy")):
        table = DistanceTable(file.parent)
        if not DRAFT.search(file.parent.name) and np.isin(bank.rows_N, table.columns_M).all():
            return table
    return None
