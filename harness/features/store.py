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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.features.encoder import Encoded, Encoder, encode
from harness.runtime.cache import EntryWriter, fill_missing, open_array, read_rows
from harness.runtime.compute import Compute

CHUNK = 16
"""Images per item of encoding work; fixed, so that results do not depend on how many actors share it."""


@dataclass(frozen=True)
class CategoryFeatures:
    """Features of all images of a category, in a folder of the store. Travels between processes as a path."""

    folder: Path

    @property
    def memory_NPC(self) -> np.ndarray:
        """Unit-length features for the memory, half precision."""
        return open_array(self.folder / "memory.npy")

    def read_memory(self, rows_n: np.ndarray) -> np.ndarray:
        """Memory features of some images, read instead of mapped: what is not kept does not stay in memory."""
        return read_rows(self.folder / "memory.npy", rows_n)

    @property
    def targets(self) -> tuple[np.ndarray, ...]:
        """Target groups [N, P, C_g] of the network, half precision."""
        return tuple(open_array(file) for file in sorted(self.folder.glob("target-*.npy")))

    @property
    def prefix_NTC(self) -> np.ndarray | None:
        """Prefix tokens, half precision; None for an encoder without."""
        return self._if_there("prefix")

    @property
    def pixels_NHWC(self) -> np.ndarray | None:
        """Pixels as the encoder saw them, 0..255; None unless it was asked to keep them."""
        return self._if_there("pixels")

    def _if_there(self, name: str) -> np.ndarray | None:
        file = self.folder / f"{name}.npy"
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
        entries = self.entries(encoder, images)
        files = {entries[name]: [file for _, file in pairs] for name, pairs in images.items()}
        with fill_missing("features", entries.values()) as missing:
            chunks = [
                (entry, start, files[entry][start : start + CHUNK])
                for entry in missing
                for start in range(0, len(files[entry]), CHUNK)
            ]
            encode_chunk = functools.partial(encode, encoder)
            results = compute.map(
                encode_chunk, [chunk for _, _, chunk in chunks], label="encoding images"
            )
            drafts: dict[Path, _FeatureDraft] = {}
            for (entry, start, _), encoded in zip(chunks, results, strict=True):
                if entry not in drafts:
                    drafts[entry] = _FeatureDraft(entry, len(files[entry]))
                drafts[entry].write(start, encoded)
                if drafts[entry].complete:
                    drafts.pop(entry).publish()
        return {name: CategoryFeatures(entry) for name, entry in entries.items()}

    def entries(
        self, encoder: Encoder, images: Mapping[str, Sequence[tuple[str, Path]]]
    ) -> dict[str, Path]:
        """Where the features of every category lie, or would; arguments as for `fill`."""
        key = encoder.digest()
        return {
            name: self.folder / _digest([key, *(digest for digest, _ in pairs)])
            for name, pairs in images.items()
        }


class _FeatureDraft(EntryWriter):
    """The features of one category while they come in."""

    def __init__(self, target: Path, images: int) -> None:
        super().__init__(target)
        self.images, self.written = images, 0
        self.arrays: dict[str, np.ndarray] = {}

    @property
    def complete(self) -> bool:
        """Whether every image has come."""
        return self.written == self.images

    def write(self, start: int, encoded: Encoded) -> None:
        """Write the features of consecutive images."""
        parts = {"memory": encoded.memory_NPC}
        parts |= {f"target-{i}": group for i, group in enumerate(encoded.targets)}
        if encoded.prefix_NTC is not None:
            parts["prefix"] = encoded.prefix_NTC
        if encoded.pixels_NHWC is not None:
            parts["pixels"] = encoded.pixels_NHWC
        count = len(encoded.memory_NPC)
        for name, part in parts.items():
            if name not in self.arrays:
                self.arrays[name] = self.array(
                    name, (self.images, *part.shape[1:]), part.dtype.type
                )
            self.arrays[name][start : start + count] = part
        self.written += count


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
