"""MVTec AD and every folder in its layout (Bergmann et al., CVPR 2019).

<category>/train/good/000.png, <category>/test/<good or defect>/000.png,
<category>/ground_truth/<defect>/000_mask.png.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.datasets import image_files, make_table, require_folder
from harness.errors import InputError

SOURCE = "MVTec AD is free for research at www.mvtec.com/company/research/datasets/mvtec-ad: download and unpack it."


@dataclass(frozen=True, kw_only=True)
class MVTecAD:
    """Categories are the folders of the root, or the ones named here."""

    categories: tuple[str, ...] | None = None
    """Which categories to use; None for all that are there."""

    name = "mvtec_ad"
    mask_above = 0

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=SOURCE)
        return read_layout(root, self.categories, source=SOURCE)


def read_layout(root: Path, categories: tuple[str, ...] | None, *, source: str) -> pd.DataFrame:
    """Read a folder in the MVTec AD layout into a sample table.

    Raises:
        InputError: a named category is not there, no category is there, or a defective image has no
        mask.
    """
    present = sorted(path.parent.name for path in root.glob("*/train") if path.is_dir())
    wanted = present if categories is None else list(categories)
    if not wanted or (missing := sorted(set(wanted) - set(present))):
        looked = (
            f"categories {', '.join(missing)}"
            if wanted
            else "category folders (<category>/train/good)"
        )
        raise InputError(
            f"No {looked} in {root.absolute()}. There: {', '.join(present) or 'none'}. {source}"
        )
    rows: list[dict[str, str | None]] = []
    for category in wanted:
        rows += [
            _row(root, path, None, category, "train", "good")
            for path in image_files(root / category / "train" / "good")
        ]
        for folder in sorted(
            path for path in (root / category / "test").glob("*") if path.is_dir()
        ):
            for path in image_files(folder):
                mask = None if folder.name == "good" else _mask_of(root / category, path)
                rows.append(_row(root, path, mask, category, "test", folder.name))
    return make_table(rows)


def _mask_of(category: Path, image: Path) -> Path:
    mask = category / "ground_truth" / image.parent.name / f"{image.stem}_mask.png"
    if not mask.is_file():
        raise InputError(
            f"Defective image {image} has no mask: {mask} does not exist. Restore it, or remove the image."
        )
    return mask


def _row(
    root: Path, image: Path, mask: Path | None, category: str, split: str, defect: str
) -> dict[str, str | None]:
    return {
        "image": image.relative_to(root).as_posix(),
        "mask": mask.relative_to(root).as_posix() if mask else None,
        "category": category,
        "split": split,
        "defect": defect,
    }
