"""Counts of a contamination, by category: what was asked for and what was injected.

The columns are:

* `category`: name of the category.
* `normals`: number n of normal training images.
* `anomalies`: number of defective test images, injected ones included.
* `wanted`: number of images that the ratio asks for; with a list of the user, the number that the list has.
* `injected`: number m of defective training images; below `wanted` where the category has too few of them.
* `contamination`: share m / (n + m) of defective images among the training images.
* `unseen`: number of tested defective images that are not in the training set.
* `listed`: True if a list names the injected images, False if they were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pandas as pd

STORED = ("wanted", "injected", "contamination", "unseen", "listed")
"""Columns that a run keeps as metrics. Runs of earlier versions have neither `wanted` nor `listed`."""


MAX_NAMES = 5
"""Maximum number of categories that a sentence names."""


def count_injected(
    contaminated: pd.DataFrame,
    test: pd.DataFrame,
    samples: pd.DataFrame,
    wanted: Callable[[int], int] | None,
    published: Collection[str],
) -> pd.DataFrame:
    """Count the images of a contamination.

    Args:
        contaminated: Rows of the training set.
        test: Rows of the test set.
        samples: Sample table before the contamination.
        wanted: Number of images to inject, as a function of the number of normal images; None for a list of the user.
        published: Categories that a published list names.
    """
    is_defective = (samples["split"] == "test") & (samples["defect"] != "good")
    anomalies = samples.loc[is_defective, "category"].value_counts()
    # One set for all categories: a large dataset has a hundred thousand images.
    trained = set(contaminated["image"])
    tested = test[test["defect"] != "good"]
    unseen = tested.loc[[i not in trained for i in tested["image"]], "category"].value_counts()
    rows = []
    for category, group in contaminated.groupby("category"):
        normals = int((group["defect"] == "good").sum())
        injected = len(group) - normals
        rows.append(
            {
                "category": category,
                "normals": normals,
                "anomalies": int(anomalies.get(category, 0)),
                "wanted": injected if wanted is None else wanted(normals),
                "injected": injected,
                "contamination": injected / len(group),
                "unseen": int(unseen.get(category, 0)),
                "listed": wanted is None or category in published,
            }
        )
    return pd.DataFrame(rows)


def describe_counts(counts: pd.DataFrame) -> str:
    """Return sentences on the origin of the injected images and on categories with fewer than requested.

    Args:
        counts: Columns category, wanted, injected and listed, see the module's docstring; one row per category.
    """
    drawn = list(counts.loc[~counts["listed"].astype(bool), "category"])
    short = counts[counts["injected"] < counts["wanted"]]
    if not drawn:
        origin = "A list names the injected images"
    elif len(drawn) == len(counts):
        origin = "The injected images are drawn"
    else:
        origin = f"Lists name the injected images, but those of {_some(drawn)} are drawn"
    if short.empty:
        return f"{origin}."
    places = [
        f"{row.category} ({row.injected:.0f} of {row.wanted:.0f})" for row in short.itertuples()
    ]
    return f"{origin}. Fewer images than requested are injected into {_some(places)}."


def _some(names: list[str]) -> str:
    """Join names; more than `MAX_NAMES` are counted."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
