"""FeatureStore encodes every image exactly once; ImageSet holds the image data that a detector may use.

The encoder is frozen and no method here augments images, so features are constants. The store holds one folder per
category, in half precision. A folder's name is a digest of the encoder and of the images' bytes. Every process
memory-maps the features. Rows are ordered by the digest of the image, so neither a row number nor the neighbouring rows
reveal what the image shows.

Legend: N images, P patches, C channels, T prefix tokens.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.distances.stored import Images, StoredImages
from harness.features.encoder import Encoder
from harness.features.encoding import Encoded, encode, encoder_digest
from harness.images import ImageSource
from harness.runtime.cache import EntryWriter, fill_missing, open_array, read_rows
from harness.runtime.compute import Compute

CHUNK = 16
"""Images per item of encoding work; fixed, so that results do not depend on the number of actors."""


@dataclass(frozen=True)
class CategoryFeatures:
    """Features of all images of a category, in a folder of the store. Other processes receive only the path."""

    folder: Path

    @property
    def memory_NPC(self) -> np.ndarray:
        """Memory features, half precision; of unit length unless `Encoder.memory` selects others."""
        return open_array(self.folder / "memory.npy")

    def read_memory(self, rows_n: np.ndarray) -> np.ndarray:
        """Read memory features of some images without mapping the file, so that discarded features free memory."""
        return read_rows(self.folder / "memory.npy", rows_n)

    def memory_of(self, rows_n: np.ndarray) -> Images:
        """Return the memory features of some images, which are read from the file when they are compared."""
        return StoredImages(self.folder / "memory.npy", rows_n)

    @property
    def targets(self) -> tuple[np.ndarray, ...]:
        """Target groups [N, P, C_g] of the network, half precision."""
        return tuple(open_array(file) for file in sorted(self.folder.glob("target-*.npy")))

    @property
    def prefix_NTC(self) -> np.ndarray | None:
        """Prefix tokens, half precision; None for an encoder without prefix tokens."""
        return self._optional_array("prefix")

    @property
    def pixels_NHWC(self) -> np.ndarray | None:
        """Pixels of the encoder's input, 0..255; None unless `Encoder.pixels` is True."""
        return self._optional_array("pixels")

    def _optional_array(self, name: str) -> np.ndarray | None:
        file = self.folder / f"{name}.npy"
        return open_array(file) if file.is_file() else None


@dataclass(frozen=True, kw_only=True)
class HeldFeatures(CategoryFeatures):
    """Features of some images in memory, without a folder; no value of this class equals another one."""

    folder: Path = Path("no folder")
    encoded: Encoded

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def memory_NPC(self) -> np.ndarray:
        """Memory features."""
        return self.encoded.memory_NPC

    def read_memory(self, rows_n: np.ndarray) -> np.ndarray:
        """Return the memory features of some images."""
        return self.encoded.memory_NPC[rows_n]

    def memory_of(self, rows_n: np.ndarray) -> Images:
        """Return the memory features of some images."""
        return self.read_memory(rows_n)

    @property
    def targets(self) -> tuple[np.ndarray, ...]:
        """Target groups of the network."""
        return self.encoded.targets

    @property
    def prefix_NTC(self) -> np.ndarray | None:
        """Prefix tokens; None for an encoder without prefix tokens."""
        return self.encoded.prefix_NTC

    @property
    def pixels_NHWC(self) -> np.ndarray | None:
        """Pixels of the encoder's input; None if they are not kept."""
        return self.encoded.pixels_NHWC


@dataclass(frozen=True)
class CategoryImages:
    """Some images of one category, identified by their rows in the store."""

    features: CategoryFeatures
    rows_N: np.ndarray


@dataclass(frozen=True)
class ImageSet:
    """Input of a detector: features and category ids, but no path, label, mask, defect name or noise ratio."""

    categories: tuple[CategoryImages, ...]

    @classmethod
    def held(cls, *encoded: Encoded) -> ImageSet:
        """Return all images of some categories whose features are in memory."""
        return cls(
            tuple(
                CategoryImages(HeldFeatures(encoded=each), np.arange(len(each.memory_NPC)))
                for each in encoded
            )
        )

    def __len__(self) -> int:
        return sum(len(category.rows_N) for category in self.categories)

    @property
    def category_N(self) -> np.ndarray:
        """Category id of every image; images are ordered by category."""
        return np.repeat(
            np.arange(len(self.categories)), [len(category.rows_N) for category in self.categories]
        )


@dataclass(frozen=True)
class CalibratedImageSet(ImageSet):
    """Training images with further images of the same categories for calibration, which are taken to be clean."""

    calibration: ImageSet


@dataclass(frozen=True)
class FeatureStore:
    """Folder of encoded categories."""

    folder: Path

    def fill(
        self,
        encoder: Encoder,
        images: Mapping[str, Sequence[tuple[str, ImageSource]]],
        *,
        compute: Compute,
    ) -> dict[str, CategoryFeatures]:
        """Return the features of every category; categories without a cache entry are encoded first.

        Args:
            encoder: The frozen encoder.
            images: For every category, (digest, image) pairs sorted by digest; the pairs are the rows of the features.
            compute: Backend that runs the encoding.

        Raises:
            InputError: an image cannot be read. Categories completed before the error stay in the store.
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
        self, encoder: Encoder, images: Mapping[str, Sequence[tuple[str, ImageSource]]]
    ) -> dict[str, Path]:
        """Return the folder of every category's features, existing or not; arguments as for `fill`."""
        key = encoder_digest(encoder)
        return {
            name: self.folder / _digest([key, *(digest for digest, _ in pairs)])
            for name, pairs in images.items()
        }


class _FeatureDraft(EntryWriter):
    """Cache entry of one category's features while chunks of images are still arriving."""

    def __init__(self, target: Path, images: int) -> None:
        super().__init__(target)
        self.images, self.written = images, 0
        self.arrays: dict[str, np.ndarray] = {}

    @property
    def complete(self) -> bool:
        """Whether the features of every image are written."""
        return self.written == self.images

    def write(self, start: int, encoded: Encoded) -> None:
        """Write the features of consecutive images, from row `start` on."""
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
