"""Findings of a validation: errors and irregularities of image files, each with names, kind and cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.errors import InputError
from harness.images import ImageFacts

MAX_LISTED = 3
"""Maximum number of files named in a message; further files are only counted."""
WIDE = 3.0
"""Ratio of the sides above which resizing to a square is reported as harmful."""

Facts = Mapping[str, ImageFacts]
"""Facts about readable files, by path relative to the root."""


@dataclass(frozen=True)
class Finding:
    """One error or irregularity in a dataset."""

    fatal: bool
    """True if a run would fail because of the finding."""
    kind: str
    """Short name of the kind of finding."""
    text: str
    """Message: what is wrong, where, and what to do."""
    files: tuple[str, ...] = ()
    """Paths of all files concerned, relative to the root."""


def listing(files: Sequence[str]) -> str:
    """Return the first few names, and the number of the others."""
    more = f" and {len(files) - MAX_LISTED} more" if len(files) > MAX_LISTED else ""
    return ", ".join(files[:MAX_LISTED]) + more


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(2, "image"), counted(2, "mask is", "masks are")
    ('1 image', '2 images', '2 masks are')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def unreadable(facts: Mapping[str, ImageFacts | InputError]) -> Iterator[Finding]:
    """Report files that cannot be read."""
    broken = {name: fact for name, fact in facts.items() if isinstance(fact, InputError)}
    if broken:
        texts = [str(error) for error in broken.values()]
        more = (
            f" {len(texts) - MAX_LISTED} more files cannot be read."
            if len(texts) > MAX_LISTED
            else ""
        )
        yield Finding(True, "unreadable files", " ".join(texts[:MAX_LISTED]) + more, tuple(broken))


def odd_images(
    samples: pd.DataFrame, facts: Facts, whites: Mapping[str, float]
) -> Iterator[Finding]:
    """Report images of which only a part is read, or whose content is lost on the way to the network.

    Args:
        samples: Sample table.
        facts: Facts about the readable files.
        whites: White level of every category with deep images.
    """
    images = {name: facts[name] for name in samples["image"] if name in facts}
    if paged := [name for name, fact in images.items() if fact.pages > 1]:
        text = (
            f"{counted(len(paged), 'image has', 'images have')} several pages or frames, of which only the first is "
            f"read: {listing(paged)}. Save each page that shows a part as a file of its own."
        )
        yield Finding(False, "several pages", text, tuple(paged))
    if flat := [name for name, fact in images.items() if fact.levels == 1]:
        text = (
            f"{counted(len(flat), 'image has', 'images have')} the same value everywhere: {listing(flat)}. Look at the "
            "files: exposure or conversion has probably failed. Replace or remove them."
        )
        yield Finding(False, "images of one level", text, tuple(flat))
    if coarse := [name for name, fact in images.items() if fact.bits > 8]:
        text = (
            f"{counted(len(coarse), 'colour image has', 'colour images have')} 16 bits per channel, of which the upper "
            f"8 are read: {listing(coarse)}. If the camera fills fewer than 16 bits, the images appear too dark: save "
            "them with 8 bits per channel."
        )
        yield Finding(False, "colours of 16 bits", text, tuple(coarse))
    for category, white in whites.items():
        own = samples.loc[samples["category"] == category, "image"]
        deep = [name for name in own if name in images and images[name].top is not None]
        text = (
            f"{counted(len(deep), 'image has', 'images have')} more than 8 bits in category {category!r}. Values of "
            f"0..{white:g} are shown as black to white: {listing(deep)}. If this range is wrong, save the images with "
            "8 bits."
        )
        yield Finding(False, "more than 8 bits", text, tuple(deep))
    yield from _wide(images)


def _wide(images: Facts) -> Iterator[Finding]:
    ratios = {
        name: max(fact.width, fact.height) / min(fact.width, fact.height)
        for name, fact in images.items()
    }
    if wide := [name for name, ratio in ratios.items() if ratio > WIDE]:
        text = (
            f"{counted(len(wide), 'image has', 'images have')} sides of up to {max(ratios.values()):.0f}:1, and every "
            f"image is resized to a square, which loses small defects: {listing(wide)}. Cut images and masks into "
            "tiles that are about square."
        )
        yield Finding(False, "images far from square", text, tuple(wide))


def duplicates(samples: pd.DataFrame, facts: Facts) -> Iterator[Finding]:
    """Report images with the same content in training and in test."""
    splits: dict[str, dict[str, str]] = {}
    for image, split in zip(samples["image"], samples["split"], strict=True):
        if image in facts:
            splits.setdefault(facts[image].digest, {}).setdefault(split, image)
    pairs = [
        (places["train"], places["test"])
        for places in splits.values()
        if {"train", "test"} <= set(places)
    ]
    if pairs:
        text = f"{len(pairs)} images are both in training and in test, with the same content: "
        text += listing([f"{train} = {test}" for train, test in pairs]) + "."
        yield Finding(
            False,
            "images both in training and test",
            text,
            tuple(path for pair in pairs for path in pair),
        )
