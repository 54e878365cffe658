"""Two folders with the same drawn images: one with true names, labels and masks, one with false ones.

The training images are contaminated in both. Whatever reads only images gives the same results in both folders.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from harness.datasets import GOOD, Counts, make_table, require_folder
from harness.datasets.textures import Textures
from harness.detectors import Detector
from harness.evaluation import Evaluation
from harness.experiment import Experiment, prepare
from harness.experiment.preparation import Prepared
from harness.features.encoder import Encoder
from harness.runtime.compute import InProcess

TABLE = "table.csv"
DRAWN = Textures(train=7, good=6, defective=10)
INJECTED, CALIBRATING = 3, 2
"""Defective training images and normal validation images per category."""
ENCODER = Encoder(image_size=128, pixels=True)
"""Encoder of the checks, which also keeps the pixels."""


@dataclass(frozen=True, kw_only=True)
class ListedImages:
    """Images with the names, splits, labels and masks that a table in their folder gives."""

    name = "listed_images"
    source = "This software draws these images."
    mask_above = 0
    expected: ClassVar[Counts] = {}

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        table = pd.read_csv(root / TABLE, dtype=object)
        rows: list[dict[Any, Any]] = table.where(table.notna(), None).to_dict("records")
        return make_table(self.name, rows)


@dataclass(frozen=True)
class Worlds:
    """Folder with the data and the caches of both worlds."""

    folder: Path

    def experiment(self, detector: Detector) -> Experiment:
        """Return the experiment of a detector, which is the same in both worlds."""
        return Experiment(
            dataset=ListedImages(),
            encoder=ENCODER,
            detector=detector,
            evaluation=Evaluation(size=64),
        )

    def prepared(self, experiment: Experiment, world: str) -> Prepared:
        """Return the prepared data of a world, `true` or `false`."""
        cache = self.folder / f"cache-{world}"
        compute = InProcess()
        found = prepare([experiment], data=self.folder / world, cache=cache, compute=compute)
        return found[experiment.key]


def draw_worlds(folder: Path) -> Worlds:
    """Draw both worlds below a folder."""
    drawn = folder / "drawn"
    table = _contaminated(DRAWN.samples(drawn))
    _write(drawn, folder / "true", table, table["image"], table["category"])
    lies = pd.concat(_relabelled(group) for _, group in table.groupby(["category", "split"]))
    lies = lies.loc[table.index]
    kinds = {name: f"kind {i}" for i, name in enumerate(sorted(table["category"].unique()))}
    categories = table["category"].map(kinds)
    numbers = (7 * table.groupby("category").cumcount() + 3) % 23
    names = categories + "/" + lies["defect"] + "/" + numbers.astype(str) + ".png"
    _write(drawn, folder / "false", lies, names, categories)
    return Worlds(folder)


def _contaminated(samples: pd.DataFrame) -> pd.DataFrame:
    """Move some defective test images of each category into training, and some normal ones into validation."""
    table = samples.copy()
    for _, group in table[table["split"] == "test"].groupby("category"):
        defective, normal = group[group["defect"] != GOOD], group[group["defect"] == GOOD]
        table.loc[defective.index[::4][:INJECTED], "split"] = "train"
        table.loc[normal.index[:CALIBRATING], "split"] = "validation"
    return table


def _relabelled(group: pd.DataFrame) -> pd.DataFrame:
    """Return images with their labels and masks in reverse order, so that most labels are false."""
    turned = group[["defect", "mask"]].iloc[::-1].set_axis(group.index)
    return group.assign(defect=turned["defect"], mask=turned["mask"])


def _write(
    drawn: Path, folder: Path, table: pd.DataFrame, names: pd.Series, categories: pd.Series
) -> None:
    """Copy the images under their names, and the masks beside them; write the table."""
    rows = []
    for row, name, category in zip(table.to_dict("records"), names, categories, strict=True):
        mask = None if row["defect"] == GOOD else f"masks/{name}"
        for source, target in _copies(row, name, mask):
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(drawn / source, folder / target)
        rows.append({"image": name, "mask": mask, "category": category})
        rows[-1] |= {"split": row["split"], "defect": row["defect"]}
    pd.DataFrame(rows).to_csv(folder / TABLE, index=False)


def _copies(row: dict[Any, Any], name: str, mask: str | None) -> Iterator[tuple[str, str]]:
    """Yield the source and the target of an image and of its mask."""
    yield row["image"], name
    if mask is not None:
        yield row["mask"], mask
