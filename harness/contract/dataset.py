"""Contract of a dataset: a table of its images, and an error with the source of the data for any other folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from harness.contract.values import breaches_of_value
from harness.datasets import COLUMNS, GOOD, Dataset
from harness.errors import InputError
from harness.images import read_mask

SPLITS = ("train", "validation", "test")


def breaches_of_dataset(dataset: Dataset, root: Path | None, empty: Path) -> Iterator[str]:
    """Yield what a dataset breaks.

    Args:
        dataset: Dataset to check.
        root: Folder in its layout with defective images; None to check only what needs no images.
        empty: Empty folder, in which the dataset must find nothing.
    """
    yield from breaches_of_value(dataset)
    if not dataset.source.endswith("."):
        yield "Its source must be sentences that name where to get the data, and end with a full stop."
    yield from _breaches_of_refusal(dataset, empty)
    if root is not None:
        try:
            yield from breaches_of_table(dataset, root)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
            yield f"Its folder {root} cannot be read: {type(error).__name__}: {error}"


def _breaches_of_refusal(dataset: Dataset, empty: Path) -> Iterator[str]:
    """Yield a breach unless a missing folder is drawn or refused with the source of the data."""
    try:
        dataset.samples(empty / "nowhere")
    except InputError as error:
        if dataset.source not in str(error):
            yield "Its error for a missing folder does not contain its source. Use `require_folder`."
    except Exception as error:  # noqa: BLE001 - whatever it raises is the breach
        yield f"For a missing folder it raises {type(error).__name__} ({error}). Use `require_folder`."


def breaches_of_table(dataset: Dataset, root: Path) -> Iterator[str]:
    """Yield what the sample table of a folder breaks."""
    samples = dataset.samples(root)
    if tuple(samples.columns) != COLUMNS:
        yield f"Its table has the columns {', '.join(samples.columns)}, not {', '.join(COLUMNS)}. Use `make_table`."
        return
    if not samples["image"].is_unique:
        yield "Its table lists an image twice."
    if not samples.equals(dataset.samples(root)):
        yield "Its table differs from call to call."
    if other := sorted(set(samples["split"]) - set(SPLITS)):
        yield f"Its table has the split {other[0]!r}. Splits: {', '.join(SPLITS)}."
    if set(samples["dataset"]) != {dataset.name}:
        yield f"The column `dataset` of its table must be its name {dataset.name!r}."
    yield from _breaches_of_paths(samples, root)
    defective = samples["defect"] != GOOD
    if samples.loc[~defective, "mask"].notna().any():
        yield "A normal image has a mask."
    if not defective.any():
        yield "Its folder has no defective image."
    for mask in samples["mask"].dropna():
        read_mask(root / mask, above=dataset.mask_above)


def _breaches_of_paths(samples: pd.DataFrame, root: Path) -> Iterator[str]:
    for column in ("image", "mask"):
        for path in samples[column].dropna():
            if str(path).startswith("/") or not (root / path).exists():
                yield f"The path {path} in the column `{column}` is no file relative to the folder."
                return
