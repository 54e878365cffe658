"""FeatureStore: every image is encoded once, ever; and ImageSet, what a detector may see of images.

The encoder is frozen and no method here augments, so features are constants. They lie on disk in
half precision, one folder per category, named by a digest of the encoder and of the images' bytes,
and are memory-mapped by every process. Rows are ordered by the digest of the image: neither a row's
number nor its neighbours tell what the image shows.

Legend: N images, P patches, C channels, T prefix tokens.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.compute import Compute
from harness.encoders import Encoded, Encoder, encode

CHUNK = 16
"""Images per item of encoding work; fixed, so that results do not depend on how many actors share it."""


@functools.lru_cache(maxsize=256)
def open_array(file: Path) -> np.ndarray:
    """Memory-map an array file, read-only; one map per process and file."""
    return np.load(file, mmap_mode="r")


@dataclass(frozen=True)
class CategoryFeatures:
    """Features of all images of a category, in a folder of the store. Travels between processes as a path."""

    folder: Path

    @property
    def memory_NPC(self) -> np.ndarray:
        """Unit-length features for the memory, half precision."""
        return open_array(self.folder / "memory.npy")

    @property
    def targets(self) -> tuple[np.ndarray, ...]:
        """Target groups [N, P, C_g] of the network, half precision."""
        return tuple(open_array(file) for file in sorted(self.folder.glob("target-*.npy")))

    @property
    def prefix_NTC(self) -> np.ndarray | None:
        """Prefix tokens, half precision; None for an encoder without."""
        file = self.folder / "prefix.npy"
        return open_array(file) if file.is_file() else None


@dataclass(frozen=True)
class CategoryImages:
    """Some images of one category, by their rows in the store."""

    features: CategoryFeatures
    rows_N: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """What a detector sees: features and category ids. No path, no label, no mask, no defect name, no noise ratio."""

    categories: tuple[CategoryImages, ...]

    def __len__(self) -> int:
        return sum(len(category.rows_N) for category in self.categories)

    @property
    def category_N(self) -> np.ndarray:
        """Category id of every image; images are ordered by category."""
        return np.repeat(
            np.arange(len(self.categories)), [len(category.rows_N) for category in self.categories]
        )


@dataclass(frozen=True)
class FeatureStore:
    """A folder of encoded categories."""

    folder: Path

    def fill(
        self,
        encoder: Encoder,
        images: Mapping[str, Sequence[tuple[str, Path]]],
        *,
        compute: Compute,
    ) -> dict[str, CategoryFeatures]:
        """Return the features of every category, encoding the ones that are not there yet.

        Args:
            encoder: The frozen encoder.
            images: For every category, (digest, file) pairs sorted by digest: the rows of its
            features.
            compute: Where to encode.

        Raises:
            InputError: an image cannot be read. Categories that are complete by then stay in the
            store.
        """
        key = encoder.digest()
        folders = {
            name: self.folder / _digest([key, *(digest for digest, _ in pairs)])
            for name, pairs in images.items()
        }
        missing = {
            name: [file for _, file in images[name]]
            for name in images
            if not folders[name].is_dir()
        }
        chunks = [
            (name, files[start : start + CHUNK])
            for name, files in missing.items()
            for start in range(0, len(files), CHUNK)
        ]
        results = compute.map(
            functools.partial(encode, encoder),
            [files for _, files in chunks],
            label="encoding images",
        )
        writer: _CategoryWriter | None = None
        for (name, files), encoded in zip(chunks, results, strict=True):
            if writer is None:
                writer = _CategoryWriter(folders[name], len(missing[name]))
            if writer.add(encoded, len(files)):
                writer = None
        return {name: CategoryFeatures(folder) for name, folder in folders.items()}


class _CategoryWriter:
    """Writes one category's arrays to a draft folder and puts it in place when the last image has come."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.images, self.written = folder, images, 0
        self.draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(self.draft, ignore_errors=True)
        self.draft.mkdir(parents=True)
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, encoded: Encoded, count: int) -> bool:
        """Write the next images; true when the category is complete and in place."""
        parts = {"memory": encoded.memory_NPC}
        parts |= {f"target-{i}": group for i, group in enumerate(encoded.targets)}
        if encoded.prefix_NTC is not None:
            parts["prefix"] = encoded.prefix_NTC
        for name, part in parts.items():
            if name not in self.arrays:
                self.arrays[name] = np.lib.format.open_memmap(
                    self.draft / f"{name}.npy",
                    mode="w+",
                    dtype=np.float16,
                    shape=(self.images, *part.shape[1:]),
                )
            self.arrays[name][self.written : self.written + count] = part
        self.written += count
        if self.written < self.images:
            return False
        self.arrays.clear()
        publish(self.draft, self.folder)
        return True


def publish(draft: Path, target: Path) -> None:
    """Move a finished folder to its place in one step; if another process was first, its equal result stays."""
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(draft)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
