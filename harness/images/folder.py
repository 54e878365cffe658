"""Images of one folder, read once and put into the order in which the store of features keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.images.index import ImageFacts, ImageIndex
from harness.images.view import ImageSource, source, white_level

SHOWN = 3
"""Maximum number of files that an error names."""


@dataclass(frozen=True)
class FolderImages:
    """Images of a folder that can be read, ordered by the digest of what a person sees."""

    root: Path
    names: tuple[str, ...]
    """Paths relative to the root, with forward slashes."""
    digests: tuple[str, ...]
    """Digest of each image; see `harness.images.ImageFacts.identity`."""
    white: float | None
    """White level of the images of more than 8 bits; None if there are none."""

    @property
    def pairs(self) -> list[tuple[str, ImageSource]]:
        """Digest and source of every image, as `harness.features.FeatureStore.fill` expects them."""
        sources = (source(self.root / name, self.white) for name in self.names)
        return list(zip(self.digests, sources, strict=True))

    @property
    def digest(self) -> str:
        """Digest of all images, whatever their names."""
        return hashlib.sha256("\n".join(self.digests).encode()).hexdigest()


def read_folder(root: Path, names: Sequence[str], index: ImageIndex) -> FolderImages:
    """Read the named images of a folder, and order them.

    Args:
        root: Folder.
        names: Paths of images relative to the folder.
        index: Index of images that were read before.

    Raises:
        InputError: an image cannot be read; the message names the first few.
    """
    found = index.examine([root / name for name in names])
    if broken := [each for each in found if isinstance(each, InputError)]:
        raise InputError(" ".join(map(str, broken[:SHOWN])))
    facts = [each for each in found if isinstance(each, ImageFacts)]
    white = white_level((each.mode, each.top) for each in facts if each.top is not None)
    ordered = sorted(zip((each.identity(white) for each in facts), names, strict=True))
    digests, sorted_names = zip(*ordered, strict=True)
    return FolderImages(root, sorted_names, digests, white)
