"""Findings about masks: sizes, coverage, grey levels, and images without a mask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from harness.datasets import GOOD, Dataset
from harness.datasets.findings import Facts, Finding, counted, listing

INVERTED = 0.5
"""Fraction of an image above which a mask probably marks the normal part."""


def odd_masks(
    samples: pd.DataFrame, files: Mapping[str, Sequence[str]], facts: Facts, dataset: Dataset
) -> Iterator[Finding]:
    """Report masks of another size than their image, of odd coverage, or with grey levels.

    Args:
        samples: Sample table.
        files: Files of every mask in the table.
        facts: Facts about the readable files.
        dataset: Dataset; its threshold defines which pixels are defective.
    """
    yield from _other_sizes(samples, files, facts)
    empty, grey, covering = [], [], {}
    for mask in samples["mask"].dropna():
        known = [facts[file] for file in files[mask] if file in facts]
        shares = [fact.covered or 0.0 for fact in known]
        if known and not any(shares):
            empty.append(mask)
        if any(share > INVERTED for share in shares):
            covering[mask] = max(shares)
        if any(fact.levels > 2 for fact in known):
            grey.append(mask)
    if empty:
        text = (
            f"{len(empty)} defective images have an empty mask, so pixel metrics count all of their pixels as normal: "
            f"{listing(empty)}."
        )
        yield Finding(False, "empty masks", text, tuple(empty))
    if covering:
        mean = sum(covering.values()) / len(covering)
        text = (
            f"{counted(len(covering), 'mask covers', 'masks cover')} more than half of the image, {mean:.0%} on "
            f"average: {listing(list(covering))}. Where a mask is not black, the image must be defective. If your "
            "masks are white where the image is normal, invert them; docs/your-images.md says how."
        )
        yield Finding(False, "masks that cover more than half", text, tuple(covering))
    if grey:
        text = f"{len(grey)} masks are not binary; pixels above {dataset.mask_above} are defective: {listing(grey)}."
        yield Finding(False, "masks that are not binary", text, tuple(grey))


def _other_sizes(
    samples: pd.DataFrame, files: Mapping[str, Sequence[str]], facts: Facts
) -> Iterator[Finding]:
    for image, mask in samples.dropna(subset=["mask"])[["image", "mask"]].itertuples(index=False):
        own = facts.get(image)
        for file in files[mask]:
            fact = facts.get(file)
            if own and fact and (fact.width, fact.height) != (own.width, own.height):
                turned = " (as its EXIF tag turns it)" if "turned" in own.view else ""
                text = (
                    f"Mask {file} is {fact.width} x {fact.height} pixels but its image {image} is "
                    f"{own.width} x {own.height}{turned}. Restore both files from the dataset's archive, or draw the "
                    "mask on the image as a viewer shows it."
                )
                yield Finding(True, "mask of another size", text, (file, image))


def missing_masks(samples: pd.DataFrame) -> Iterator[Finding]:
    """Report defective images without a mask, by category."""
    defective = samples[samples["defect"] != GOOD]
    for category, group in defective.groupby("category"):
        lacking = list(group.loc[group["mask"].isna(), "image"])
        if lacking and len(lacking) < len(group):
            text = (
                f"{counted(len(lacking), 'defective image has', 'defective images have')} no mask in category "
                f"{category!r}, but {len(group) - len(lacking)} others have one: {listing(lacking)}. Images without a "
                "mask count for image metrics only. Add the masks, with the names of their images."
            )
            yield Finding(False, "images without a mask", text, tuple(lacking))
        elif lacking:
            text = (
                f"Category {category!r} has no masks: it has image metrics, and pixel metrics stay empty. Everything "
                "else works."
            )
            yield Finding(False, "no masks", text)
