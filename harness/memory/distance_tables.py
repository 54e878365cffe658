"""Tables of image distances on disk, computed once per category in blocks that any number of actors share.

The rows of a table are all images of a category. The columns are the images that can be in a training set: normal
training images and injectable anomalies. Every pair of column images is multiplied once and gives both distances.

Legend: N images of a category, P patches, M columns.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.distances import Precision, block_distances, release_images
from harness.distances.kernels import Distance
from harness.features import CategoryFeatures
from harness.runtime.cache import EntryWriter, fill_missing, is_complete, open_array
from harness.runtime.compute import Compute, InProcess

BLOCK = 64
"""Images on each side of a block of distances."""


@dataclass(frozen=True, eq=False)
class TableRequest:
    """Request for a table of distances."""

    features: CategoryFeatures
    columns_M: np.ndarray
    """Store rows of the images that can be in a training set, ascending."""
    distance: Distance
    precision: Precision

    @property
    def stem(self) -> str:
        """Common prefix of the names of all tables with these features, distance and precision."""
        return f"{self.features.folder.name}-{self.distance}-{self.precision}"

    @property
    def entry(self) -> Path:
        """Path of the table's cache entry."""
        key = hashlib.sha256(self.columns_M.astype(np.int64).tobytes()).hexdigest()[:16]
        return self.features.folder.with_name(f"{self.stem}-{key}")

    @property
    def size(self) -> int:
        """Size of the table in bytes."""
        images, patches = self.features.memory_NPC.shape[:2]
        return 4 * images * patches * len(self.columns_M)


@dataclass(frozen=True)
class DistanceTable:
    """Distances of all images of a category (rows) to the possible training images (columns)."""

    entry: Path

    @property
    def distances_NPM(self) -> np.ndarray:
        """Memory-mapped distances, float32 [N, P, M]."""
        return open_array(self.entry / "distances.npy")

    @property
    def columns_M(self) -> np.ndarray:
        """Store row of each column's image, ascending."""
        return open_array(self.entry / "columns.npy")


def covering_table(request: TableRequest, rows_M: np.ndarray) -> DistanceTable | None:
    """Return a complete table like the requested one whose columns contain some images; None if there is no table."""
    for entry in sorted(request.entry.parent.glob(f"{request.stem}-*")):
        table = DistanceTable(entry)
        if "." not in entry.name and is_complete(entry) and np.isin(rows_M, table.columns_M).all():
            return table
    return None


def distances_among(
    features: CategoryFeatures, rows_M: np.ndarray, distance: Distance, precision: Precision
) -> np.ndarray:
    """Return distances [M, P, M] among some images, from a table whose columns contain all of these images.

    If no such table exists, this process computes one.
    """
    request = TableRequest(features, np.unique(rows_M), distance, precision)
    if (table := covering_table(request, rows_M)) is None:
        fill_tables([request], compute=InProcess())
        table = DistanceTable(request.entry)
    columns = np.searchsorted(table.columns_M, rows_M)
    return np.stack([table.distances_NPM[row][:, columns] for row in rows_M])


@dataclass(frozen=True, eq=False)
class _Block:
    """Item of work: the distances between two groups of images."""

    request: TableRequest
    rows_I: np.ndarray
    first_column: int
    rows_J: np.ndarray
    first_column_I: int | None
    """Column of the first image of `rows_I` if these images are columns as well; None if they are not. If set,
    the reverse distances are computed, too."""

    @property
    def pairs(self) -> int:
        """Number of image pairs that are multiplied."""
        rows, columns = len(self.rows_I), len(self.rows_J)
        return rows * (rows + 1) // 2 if self.is_half else rows * columns

    @property
    def is_half(self) -> bool:
        """Whether both groups are equal, so that half of the pairs suffice."""
        return self.first_column_I == self.first_column


def fill_tables(requests: Sequence[TableRequest], *, compute: Compute) -> None:
    """Compute the tables that are missing in the cache.

    Raises:
        InputError: see `harness.distances.image_distances`.
    """
    by_entry = {request.entry: request for request in requests}
    with fill_missing("distances", by_entry) as missing:
        blocks = [block for entry in missing for block in _blocks(by_entry[entry])]
        blocks.sort(
            key=lambda block: -block.pairs
        )  # small blocks last, so that all actors finish together
        results = compute.map(_block_distances, blocks, label="distances")
        drafts: dict[Path, _TableDraft] = {}
        for block, (forward_IPJ, backward_JPI) in zip(blocks, results, strict=True):
            entry = block.request.entry
            if entry not in drafts:
                drafts[entry] = _TableDraft(block.request)
            drafts[entry].write(block, forward_IPJ, backward_JPI)
            if drafts[entry].complete:
                drafts.pop(entry).publish()
        release_images()


def _blocks(request: TableRequest) -> Iterator[_Block]:
    columns = request.columns_M
    others = np.setdiff1d(np.arange(len(request.features.memory_NPC)), columns)
    make = functools.partial(_Block, request)
    for j in range(0, len(columns), BLOCK):
        rows_J = columns[j : j + BLOCK]
        for i in range(0, j + 1, BLOCK):
            yield make(columns[i : i + BLOCK], j, rows_J, i)
        for i in range(0, len(others), BLOCK):
            yield make(others[i : i + BLOCK], j, rows_J, None)


def _block_distances(block: _Block) -> tuple[np.ndarray, np.ndarray]:
    features = block.request.features
    first_IPC = features.memory_of(block.rows_I)
    second_JPC = first_IPC if block.is_half else features.memory_of(block.rows_J)
    return block_distances(
        first_IPC,
        second_JPC,
        distance=block.request.distance,
        precision=block.request.precision,
        both=block.first_column_I is not None,
    )


class _TableDraft(EntryWriter):
    """Cache entry of a table while blocks are still arriving."""

    def __init__(self, request: TableRequest) -> None:
        super().__init__(request.entry)
        images, patches = request.features.memory_NPC.shape[:2]
        self.table_NPM = self.array(
            "distances", (images, patches, len(request.columns_M)), np.float32
        )
        self.array("columns", request.columns_M.shape, np.int64)[:] = request.columns_M
        self.left = images * len(request.columns_M)

    @property
    def complete(self) -> bool:
        """Whether every distance is written."""
        return self.left == 0

    def write(self, block: _Block, forward_IPJ: np.ndarray, backward_JPI: np.ndarray) -> None:
        """Write the distances of a block, in both directions if the block has both."""
        self._write(block.rows_I, block.first_column, forward_IPJ)
        if block.first_column_I is not None and not block.is_half:
            self._write(block.rows_J, block.first_column_I, backward_JPI)

    def _write(self, rows: np.ndarray, column: int, distances: np.ndarray) -> None:
        for row, of_image in zip(rows, distances, strict=True):
            self.table_NPM[row, :, column : column + of_image.shape[1]] = of_image
        self.left -= distances.shape[0] * distances.shape[2]
