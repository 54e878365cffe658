"""Validation of a dataset on disk before anything is computed; the command `check` and all runs share it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.datasets import GOOD, IMAGE_SUFFIXES, Dataset
from harness.errors import InputError
from harness.images import ImageFacts, ImageIndex

MAX_LISTED = 3
"""Maximum number of files named in a message; further files are only counted."""


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


@dataclass(frozen=True)
class ValidationReport:
    """Result of a validation of all files of a dataset."""

    samples: pd.DataFrame
    """Sample table with an additional column `digest`, which is None where an image cannot be read."""
    findings: list[Finding]
    digest: str
    """Digest over the contents of all images and masks."""
    sizes: dict[str, tuple[int, int, int, int]]
    """Smallest and largest width, then smallest and largest height, of each category's images in pixels."""

    @property
    def fatal(self) -> list[Finding]:
        """Findings that would make a run fail."""
        return [finding for finding in self.findings if finding.fatal]


def validate(dataset: Dataset, root: Path, index: ImageIndex) -> ValidationReport:
    """Read a dataset's sample table and every file in it, and report all findings.

    Raises:
        InputError: the folder is missing or does not have the expected layout.
    """
    samples = dataset.samples(root)
    masks = {mask: _mask_files(root, mask) for mask in samples["mask"].dropna()}
    names = [*samples["image"], *(file for files in masks.values() for file in files)]
    facts = dict(zip(names, index.examine([root / name for name in names]), strict=True))
    good_facts = {name: fact for name, fact in facts.items() if isinstance(fact, ImageFacts)}
    findings = [
        *_empty_parts(samples, root),
        *_unreadable(facts),
        *_masks(samples, masks, good_facts, dataset),
        *_counts(samples, dataset),
        *_extra_files(root, names),
        *_duplicates(samples, good_facts),
    ]
    digests = [good_facts[name].digest if name in good_facts else None for name in samples["image"]]
    lines = sorted(f"{name} {fact.digest}" for name, fact in good_facts.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return ValidationReport(
        samples.assign(digest=digests), findings, digest, _sizes(samples, good_facts)
    )


def validate_or_raise(dataset: Dataset, root: Path, index: ImageIndex) -> ValidationReport:
    """Validate a dataset before a run uses it.

    Raises:
        InputError: a run would fail; the message lists all fatal findings.
    """
    report = validate(dataset, root, index)
    if report.fatal:
        raise InputError(" ".join(finding.text for finding in report.fatal))
    return report


def _mask_files(root: Path, mask: str) -> list[str]:
    if not (root / mask).is_dir():
        return [mask]
    return [f"{mask}/{file.name}" for file in sorted((root / mask).iterdir())]


def _listing(files: Sequence[str]) -> str:
    more = f" and {len(files) - MAX_LISTED} more" if len(files) > MAX_LISTED else ""
    return ", ".join(files[:MAX_LISTED]) + more


def _empty_parts(samples: pd.DataFrame, root: Path) -> Iterator[Finding]:
    for category, group in samples.groupby("category"):
        good = group["defect"] == GOOD
        train, test = group["split"] == "train", group["split"] == "test"
        needed = {
            "normal training": train & good,
            "normal test": test & good,
            "defective test": test & ~good,
        }
        for kind, rows in needed.items():
            if not rows.any():
                text = f"Category {category!r} in {root} has no {kind} images. Add images, or leave the category out."
                yield Finding(True, f"no {kind} images", text)


def _unreadable(facts: dict[str, ImageFacts | InputError]) -> Iterator[Finding]:
    broken = {name: fact for name, fact in facts.items() if isinstance(fact, InputError)}
    if broken:
        texts = [str(error) for error in broken.values()]
        more = (
            f" {len(texts) - MAX_LISTED} more files cannot be read."
            if len(texts) > MAX_LISTED
            else ""
        )
        yield Finding(True, "unreadable files", " ".join(texts[:MAX_LISTED]) + more, tuple(broken))


def _masks(
    samples: pd.DataFrame,
    masks: dict[str, list[str]],
    facts: dict[str, ImageFacts],
    dataset: Dataset,
) -> Iterator[Finding]:
    empty, grey = [], []
    for image, mask in samples.dropna(subset=["mask"])[["image", "mask"]].itertuples(index=False):
        known = [(file, facts[file]) for file in masks[mask] if file in facts]
        for file, fact in known:
            own = facts.get(image)
            if own and (fact.width, fact.height) != (own.width, own.height):
                text = (
                    f"Mask {file} is {fact.width} x {fact.height} pixels but its image {image} is "
                    f"{own.width} x {own.height}. Restore both files from the dataset's archive."
                )
                yield Finding(True, "mask of another size", text, (file, image))
        if known and all(fact.highest <= dataset.mask_above for _, fact in known):
            empty.append(mask)
        if any(fact.levels > 2 for _, fact in known):
            grey.append(mask)
    if empty:
        text = f"{len(empty)} defective images have an empty mask and count for image metrics only: {_listing(empty)}."
        yield Finding(False, "empty masks", text, tuple(empty))
    if grey:
        text = f"{len(grey)} masks are not binary; pixels above {dataset.mask_above} are defective: {_listing(grey)}."
        yield Finding(False, "masks that are not binary", text, tuple(grey))


def _counts(samples: pd.DataFrame, dataset: Dataset) -> Iterator[Finding]:
    found = count_images(samples).to_dict("index")
    for category, expected in dataset.expected.items():
        if category in found and (counts := tuple(found[category].values())[:3]) != expected:
            text = (
                f"Category {category!r} has {counts[0]} training, {counts[1]} normal test and {counts[2]} defective "
                f"test images; the published counts are {expected[0]}, {expected[1]} and {expected[2]}."
            )
            yield Finding(False, "counts differ from the published ones", text)
    if missing := sorted(set(dataset.expected) - set(found)):
        yield Finding(
            False,
            "categories left out",
            f"Published categories that are missing or not chosen: {', '.join(missing)}.",
        )


def count_images(samples: pd.DataFrame) -> pd.DataFrame:
    """Count the images per category.

    The columns are train, test_good, test_defective, validation, train_defective and defects (the number of kinds).
    """
    rows = {}
    for category, group in samples.groupby("category"):
        good = group["defect"] == GOOD
        sizes = Counter(zip(group["split"], good, strict=True))
        rows[category] = {
            "train": sizes["train", True] + sizes["train", False],
            "test_good": sizes["test", True],
            "test_defective": sizes["test", False],
            "validation": sizes["validation", True] + sizes["validation", False],
            "train_defective": sizes["train", False],
            "defects": group.loc[~good, "defect"].nunique(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _extra_files(root: Path, names: Sequence[str]) -> Iterator[Finding]:
    """Report images that are not in the sample table, in the top-level folders that the table uses."""
    known = set(names)
    tops = {name.split("/")[0] for name in names}
    extra = sorted(
        path
        for top in tops
        for file in (root / top).rglob("*")
        if file.suffix.lower() in IMAGE_SUFFIXES
        and (path := file.relative_to(root).as_posix()) not in known
    )
    if extra:
        text = f"{len(extra)} image files are not part of the dataset and are ignored: {_listing(extra)}."
        yield Finding(False, "extra files", text, tuple(extra))


def _duplicates(samples: pd.DataFrame, facts: dict[str, ImageFacts]) -> Iterator[Finding]:
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
        text += _listing([f"{train} = {test}" for train, test in pairs]) + "."
        yield Finding(
            False,
            "images both in training and test",
            text,
            tuple(path for pair in pairs for path in pair),
        )


def _sizes(
    samples: pd.DataFrame, facts: dict[str, ImageFacts]
) -> dict[str, tuple[int, int, int, int]]:
    sizes = {}
    for category, group in samples.groupby("category"):
        known = [facts[image] for image in group["image"] if image in facts]
        if known:
            widths, heights = [fact.width for fact in known], [fact.height for fact in known]
            sizes[str(category)] = (min(widths), max(widths), min(heights), max(heights))
    return sizes
