"""Validation of a dataset on disk before anything is computed; the command `check` and all runs share it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.datasets import Dataset
from harness.datasets.findings import Facts, Finding, duplicates, odd_images, unreadable
from harness.datasets.folder_findings import counts, empty_parts, unused_files
from harness.datasets.mask_findings import missing_masks, odd_masks
from harness.errors import InputError
from harness.images import ImageFacts, ImageIndex, mask_files, white_level
from harness.metrics.names import check_category


@dataclass(frozen=True)
class ValidationReport:
    """Result of a validation of all files of a dataset."""

    samples: pd.DataFrame
    """Sample table with two more columns.

    `digest` identifies what a person sees in an image; it is None where an image cannot be read. `white` is the white
    level of the category's images of more than 8 bits, see `harness.images.white_level`; NaN without such images.
    """
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
        InputError: the folder is missing or does not have the expected layout, or a name cannot be used.
    """
    samples = dataset.samples(root)
    for category in samples["category"].unique():
        check_category(str(category))
    masks = {mask: _mask_files(root, mask) for mask in samples["mask"].dropna()}
    of_masks = [file for files in masks.values() for file in files]
    names = [*samples["image"], *of_masks]
    results = [
        *index.examine([root / name for name in samples["image"]]),
        *index.examine([root / name for name in of_masks], mask_above=dataset.mask_above),
    ]
    found = dict(zip(names, results, strict=True))
    facts = {name: fact for name, fact in found.items() if isinstance(fact, ImageFacts)}
    whites = _white_levels(samples, facts)
    samples["white"] = samples["category"].map(whites).astype(float)
    findings = [
        *empty_parts(samples, root),
        *unreadable(found),
        *odd_images(samples, facts, whites),
        *odd_masks(samples, masks, facts, dataset),
        *missing_masks(samples),
        *counts(samples, dataset),
        *unused_files(root, names),
        *duplicates(samples, facts),
    ]
    identities = {
        name: facts[name].identity(white)
        for name, white in zip(samples["image"], samples["white"], strict=True)
        if name in facts
    } | {name: facts[name].identity(None) for name in of_masks if name in facts}
    lines = sorted(f"{name} {identity}" for name, identity in identities.items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    digests = [identities.get(name) for name in samples["image"]]
    return ValidationReport(
        samples.assign(digest=digests), findings, digest, _sizes(samples, facts)
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
    return [f"{mask}/{file.name}" for file in mask_files(root / mask)]


def _white_levels(samples: pd.DataFrame, facts: Facts) -> dict[str, float]:
    """Return the white level of every category that has deep images."""
    levels = {}
    for category, group in samples.groupby("category"):
        known = [facts[name] for name in group["image"] if name in facts]
        level = white_level((fact.mode, fact.top) for fact in known if fact.top is not None)
        if level is not None:
            levels[str(category)] = level
    return levels


def _sizes(samples: pd.DataFrame, facts: Facts) -> dict[str, tuple[int, int, int, int]]:
    sizes = {}
    for category, group in samples.groupby("category"):
        known = [facts[image] for image in group["image"] if image in facts]
        if known:
            widths, heights = [fact.width for fact in known], [fact.height for fact in known]
            sizes[str(category)] = (min(widths), max(widths), min(heights), max(heights))
    return sizes
