"""Tools beside the studies.   python -m harness check magnetic_tile --data folder"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness import doctor
from harness.check import Inspection, count_images, inspect, inspect_or_refuse
from harness.datasets import Dataset
from harness.datasets.btad import BTAD
from harness.datasets.folder import Folder
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.mpdd import MPDD
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.datasets.real_iad import RealIAD
from harness.datasets.textures import Textures
from harness.datasets.visa import VisA
from harness.environment import prepare_environment
from harness.errors import InputError, UsageError, exit_on_input_error, paragraph
from harness.images import ImageIndex
from harness.tracking import Tracker, default_uri

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        MVTecAD(),
        VisA(),
        RealIAD(),
        MVTecLOCO(),
        BTAD(),
        MPDD(),
        MagneticTile(),
        Textures(),
        Folder(),
    )
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """Read every file of a dataset and say what is missing, broken or odd; exit code 1 if a run would fail."""

    dataset: Annotated[str, tyro.conf.Positional]
    """Its name, e.g. mvtec_ad, visa, real_iad, mvtec_loco, btad, mpdd, magnetic_tile, textures, folder."""
    data: Path
    """Root folder of the dataset."""
    json: bool = False
    """Print JSON for machines instead of tables."""
    cache: Path = Path("cache")
    """Folder that remembers which files were read."""

    def run(self) -> int:
        """Check; return the exit code."""
        dataset = known_dataset(self.dataset)
        inspection = inspect(dataset, self.data, ImageIndex(self.cache / "images.json"))
        print(as_json(dataset, inspection) if self.json else as_text(dataset, inspection))
        return int(bool(inspection.fatal))


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look for what would stand in the way of a study, and say how to mend it; exit code 1 if there is anything."""

    dataset: str | None = None
    """Check this dataset, too, e.g. mvtec_ad (see `check`)."""
    data: Path | None = None
    """Its root folder."""
    address: str | None = None
    """Address of a Ray cluster; by default RAY_ADDRESS, else a session on this machine."""
    workers: int = 0
    """Processes that will share the training of a network."""
    runs: Path = Path("runs")
    """Folder for results."""
    cache: Path = Path("cache")
    """Folder for what can be computed again."""

    def run(self) -> int:
        """Examine; return the exit code."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # seven take minutes
        prepare_environment(self.address)
        answers = doctor.examine(self._checks())
        for answer in answers:
            mark = "ok   " if answer.sound else "FAULT"
            print(
                textwrap.indent(paragraph(answer.text), " " * 16).replace(
                    " " * 16, f"{mark} {answer.what:<10}", 1
                )
            )
        faults = sum(not answer.sound for answer in answers)
        print(f"{faults} faults." if faults else "Nothing stands in the way.")
        return int(bool(faults))

    def _checks(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "python", doctor.python
        yield "encoder", doctor.encoder
        yield "gpu", doctor.gpu
        yield "disk", lambda: doctor.disk((self.cache, self.runs))
        yield "limits", doctor.limits
        yield "tracking", lambda: Tracker(default_uri(self.runs), "doctor").reach()
        yield "ray", self._ray
        if self.dataset or self.data:
            yield "data", self._data

    def _ray(self) -> str:
        from harness.cluster.health import ray_works

        return ray_works(self.address, self.workers)

    def _data(self) -> str:
        dataset = known_dataset(self.dataset)
        if self.data is None:
            raise InputError(f"Give the folder of {dataset.name} with --data. {dataset.source}")
        samples = inspect_or_refuse(
            dataset, self.data, ImageIndex(self.cache / "images.json")
        ).samples
        return f"{dataset.name}: {len(samples)} images, {samples['category'].nunique()} categories"


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Rank the images of a folder, most suspect first, without labels; or make a folder without what was ticked."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with training images, in subfolders or not."""
    out: Path = Path("ranking")
    """Folder for ranking.csv and the page ranking.html."""
    apply: Path | None = None
    """A list saved from the page: link all other images into --cleaned instead of ranking."""
    cleaned: Path = Path("cleaned")
    """Folder for the cleaned images; it must not exist yet."""
    copy: bool = False
    """Copy the images instead of linking to them."""
    known: Path | None = None
    """CSV file whose column `image` lists images known to be contaminated: print how early the ranking finds them."""
    steps: int = 2000
    """Training steps, a quarter of them for distillation."""
    seed: int = 0
    """Seed of the training."""
    cache: Path = Path("cache")
    """Folder for what can be computed again."""

    def run(self) -> int:
        """Rank or apply; return the exit code."""
        from harness import label_correction, ranking_page

        if self.apply:
            removed = label_correction.read_list(self.apply)
            left = label_correction.clean(self.folder, removed, self.cleaned, copy=self.copy)
            how = "Copied" if self.copy else "Linked"
            print(
                f"{how} {left} images into {self.cleaned}, without the {len(set(removed))} listed ones."
            )
            return 0
        if self.steps < 4:
            raise UsageError(f"--steps is a number from 4 on, got {self.steps}.")
        known = label_correction.read_list(self.known) if self.known else []
        prepare_environment()
        from harness.cluster.ranking import rank_on_ray

        ranking = rank_on_ray(self.folder, steps=self.steps, seed=self.seed, cache=self.cache)
        quality = label_correction.quality(ranking, known) if known else None
        self.out.mkdir(parents=True, exist_ok=True)
        ranking.table().to_csv(self.out / "ranking.csv", index=False)
        (self.out / "ranking.html").write_text(ranking_page.render(ranking))
        print(ranking.table().head(10).to_markdown(index=False, floatfmt=".4f"))
        if quality is not None:
            print(f"\n{quality.to_markdown(index=False, floatfmt='.3f')}")
        print(
            f"\nAll {len(ranking.images)}: {self.out}/ranking.html (tick, save the list) and ranking.csv. Then: "
            f"python -m harness rank {self.folder} --apply remove.csv"
        )
        return 0


def known_dataset(name: str | None) -> Dataset:
    """Look a dataset up by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in DATASETS:
        raise UsageError(f"There is no dataset {name!r}. Datasets: {', '.join(DATASETS)}.")
    return DATASETS[name]


def as_text(dataset: Dataset, inspection: Inspection) -> str:
    """Counts and sizes as a table, findings as paragraphs."""
    counts = count_images(inspection.samples)
    counts["size"] = [_size_text(inspection.sizes.get(str(category))) for category in counts.index]
    counts = counts.loc[:, (counts != 0).any()]
    lines = [dataset.name, paragraph(dataset.source), "", counts.to_markdown(), ""]
    for finding in sorted(inspection.findings, key=lambda finding: not finding.fatal):
        lines.append(paragraph(f"{'ERROR' if finding.fatal else 'warning'}: {finding.text}"))
    errors = len(inspection.fatal)
    verdict = f"{errors} errors: a run would fail." if errors else "A run would work."
    return "\n".join([*lines, f"{verdict} {len(inspection.findings) - errors} warnings."])


def as_json(dataset: Dataset, inspection: Inspection) -> str:
    """Everything that was found, with all file names."""
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


if __name__ == "__main__":
    with exit_on_input_error():
        command = tyro.extras.subcommand_cli_from_dict(
            {"check": Check, "doctor": Doctor, "rank": Rank}
        )
        sys.exit(command.run())
