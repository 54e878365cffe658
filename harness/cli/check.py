"""Command `check`: validate every file of a dataset.   python -m harness check magnetic_tile --data folder"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.datasets import GOOD, Dataset
from harness.datasets.discovery import dataset_named, select_categories
from harness.datasets.folder_findings import count_images
from harness.datasets.validation import ValidationReport, validate
from harness.errors import InputError, paragraph
from harness.images import ImageIndex
from harness.noise import Noise, contaminate
from harness.noise.counts import describe_counts

RATIOS = (0.1, 0.2, 0.4)
"""Noise ratios of the paper, for which the command prints the number of images that would be injected."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Read every file of a dataset and report missing, broken or unusual files.

    The exit code is 1 if a run on the dataset would fail.
    """

    dataset: Annotated[str, tyro.conf.Positional]
    """Name of the dataset, e.g. mvtec_ad, visa, real_iad, mvtec_loco, btad, mpdd, magnetic_tile, textures, folder."""
    data: Path
    """Root folder of the dataset."""
    category: tuple[str, ...] | None = None
    """Categories to check; all categories by default."""
    json: bool = False
    """Whether to print JSON instead of tables."""
    cache: Path = Path("cache")
    """Cache folder; it stores which files were already read."""

    def run(self) -> int:
        """Check the dataset; return the exit code."""
        dataset = select_categories(dataset_named(self.dataset), self.category)
        inspection = validate(dataset, self.data, ImageIndex(self.cache / "images.json"))
        print(as_json(dataset, inspection) if self.json else as_text(dataset, inspection))
        return int(bool(inspection.fatal))


def as_text(dataset: Dataset, inspection: ValidationReport) -> str:
    """Format counts and image sizes as a table, and findings as paragraphs."""
    counts = count_images(inspection.samples)
    counts["size"] = [_size_text(inspection.sizes.get(str(category))) for category in counts.index]
    counts = counts.loc[:, (counts != 0).any()]
    lines = [dataset.name, paragraph(dataset.source), "", counts.to_markdown(), ""]
    for finding in sorted(inspection.findings, key=lambda finding: not finding.fatal):
        lines.append(paragraph(f"{'ERROR' if finding.fatal else 'warning'}: {finding.text}"))
    lines += _injections(inspection)
    errors = len(inspection.fatal)
    verdict = f"{errors} errors: a run would fail." if errors else "A run would work."
    return "\n".join([*lines, f"{verdict} {len(inspection.findings) - errors} warnings."])


def _injections(inspection: ValidationReport) -> list[str]:
    """Return a sentence per noise ratio of the paper: what the default protocol would inject, or why it could not."""
    lines: list[str] = []
    has_anomalies = (inspection.samples["defect"] != GOOD).any()
    for ratio in RATIOS if has_anomalies else ():
        noise = Noise(ratio=ratio)
        try:
            counts = contaminate(inspection.samples, noise).counts
        except InputError as error:
            lines.append(paragraph(f"Noise {ratio:.0%} ({noise.protocol}) cannot run: {error}"))
            continue
        totals = f"{counts['injected'].sum()} of {counts['wanted'].sum()} requested images"
        text = f"Noise {ratio:.0%} ({noise.protocol}): {totals} would be injected."
        lines.append(paragraph(f"{text} {describe_counts(counts)}"))
    return lines


def as_json(dataset: Dataset, inspection: ValidationReport) -> str:
    """Format all counts, sizes and findings as JSON, with all file names."""
    return json.dumps(
        {
            "dataset": dataset.name,
            "source": dataset.source,
            "digest": inspection.digest,
            "counts": count_images(inspection.samples).to_dict("index"),
            "sizes": inspection.sizes,
            "findings": [asdict(finding) for finding in inspection.findings],
            "would_fail": bool(inspection.fatal),
        },
        indent=2,
    )


def _size_text(size: tuple[int, int, int, int] | None) -> str:
    if size is None:
        return ""
    widths, heights = [f"{a}" if a == b else f"{a}-{b}" for a, b in (size[:2], size[2:])]
    return f"{widths} x {heights}"
