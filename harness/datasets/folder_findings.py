"""Findings about folders: missing parts, unexpected counts, and files that nothing reads."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from harness.datasets import GOOD, Dataset, entries, files_below
from harness.datasets.findings import Finding, counted, listing
from harness.datasets.masks import MASK_FOLDERS
from harness.images import UNREAD_SUFFIXES, is_data, is_image


def empty_parts(samples: pd.DataFrame, root: Path) -> Iterator[Finding]:
    """Report categories that lack images a run needs."""
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
                if kind == "defective test" and good.any():
                    normal = root / Path(group.loc[good, "image"].iloc[0]).parent
                    text += (
                        " Without defective images nothing can be measured, but the images can be ranked, most "
                        f"suspicious first: python -m harness rank {shlex.quote(str(normal))}"
                    )
                yield Finding(True, f"no {kind} images", text)


def counts(samples: pd.DataFrame, dataset: Dataset) -> Iterator[Finding]:
    """Report deviations from the published counts."""
    found = count_images(samples).to_dict("index")
    for category, expected in dataset.expected.items():
        if category in found and (own := tuple(found[category].values())[:3]) != expected:
            text = (
                f"Category {category!r} has {own[0]} training, {own[1]} normal test and {own[2]} defective "
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


def unused_files(root: Path, names: Sequence[str]) -> Iterator[Finding]:
    """Report files that nothing reads, in the top-level folders that the table uses and in folders of masks.

    Args:
        root: Root of the dataset.
        names: Paths of all images and masks of the table, relative to the root.
    """
    known = set(names)
    tops = {name.split("/")[0] for name in names}
    there = entries(root)
    tops |= {path.name for path in there if path.name.lower() in MASK_FOLDERS}
    hidden = [path for path in there if not is_data(path.name)]
    files: list[Path] = []
    for top in sorted(tops):
        own, skipped = files_below(root / top)
        files += own
        hidden += skipped
    unused = [path for path in files if path.relative_to(root).as_posix() not in known]
    yield from _extra([_shown(path, root) for path in unused if is_image(path.name)])
    yield from _skipped(root, unused, hidden)


def skipped_files(folder: Path) -> Iterator[Finding]:
    """Report hidden entries, and files in formats that are not read, in a folder and its subfolders."""
    yield from _skipped(folder, *files_below(folder))


def _skipped(root: Path, files: Sequence[Path], hidden: Sequence[Path]) -> Iterator[Finding]:
    unread = [_shown(path, root) for path in files if path.name.lower().endswith(UNREAD_SUFFIXES)]
    if unread:
        suffixes = sorted({Path(path).suffix.lower() for path in unread})
        text = (
            f"{counted(len(unread), 'file')} in formats that are not read ({', '.join(suffixes)}): "
            f"{listing(sorted(unread))}. Convert images to PNG or TIFF."
        )
        yield Finding(False, "formats that are not read", text, tuple(sorted(unread)))
    if hidden:
        names = sorted(_shown(path, root) for path in hidden)
        text = (
            f"{counted(len(names), 'hidden or system entry is', 'hidden or system entries are')} skipped: "
            f"{listing(names)}."
        )
        yield Finding(False, "hidden entries", text, tuple(names))


def _extra(names: Sequence[str]) -> Iterator[Finding]:
    masks = sorted(name for name in names if _is_below_masks(name))
    if extra := sorted(set(names) - set(masks)):
        text = f"{len(extra)} image files are not part of the dataset and are ignored: {listing(extra)}."
        yield Finding(False, "extra files", text, tuple(extra))
    if masks:
        text = (
            f"{counted(len(masks), 'unused mask belongs', 'unused masks belong')} to no defective image: "
            f"{listing(masks)}. A mask has the folder and the name of its image, perhaps with _mask at the end."
        )
        yield Finding(False, "masks of no image", text, tuple(masks))


def _is_below_masks(name: str) -> bool:
    return any(part.lower() in MASK_FOLDERS for part in name.split("/")[:-1])


def _shown(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
    return f"{name}/" if path.is_dir() else name
