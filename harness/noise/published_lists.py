"""Injected images of the training lists that the authors of MeDS published (MIT licence), for MVTec AD and VisA.

The JSON files contain only names: ratio -> seed -> category -> defect -> image numbers. The other images of a list are
all normal training images. Seed 0 is the seed of the paper's tables. Its hazelnut lists at 10 and 20 % deviate from the
rule of all other lists (48 and 55 images instead of 39 and 70).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from harness.errors import InputError

FILES = {"mvtec_ad": "meds_mvtec_ad.json", "visa": "meds_visa.json"}


@functools.lru_cache(maxsize=4)
def _lists(dataset: str) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    return json.loads(resources.files("harness.noise").joinpath(FILES[dataset]).read_text())


def published_injections(dataset: str, ratio: float, seed: int) -> dict[str, list[str]] | None:
    """Return the injected images by category, as `defect/number`; None if no list was published.

    >>> len(published_injections("mvtec_ad", 0.1, 0)["hazelnut"])
    48
    >>> published_injections("mvtec_ad", 0.15, 0) is None
    True
    """
    if dataset not in FILES:
        return None
    found = _lists(dataset).get(f"{ratio:g}", {}).get(str(seed))
    if found is None:
        return None
    return {
        category: [
            f"{defect}/{number}"
            for defect, numbers in defects.items()
            for number in numbers.split()
        ]
        for category, defects in found.items()
    }


def find_listed(
    stems: Sequence[str], images: Iterable[str], dataset: str, category: str
) -> list[str]:
    """Return the images that a published list names by the last two parts of their path, without suffix.

    An example is `crack/003`. For the original VisA archive, the folder `Anomaly` counts as `bad`.

    Raises:
        InputError: the list names an image that is not there.
    """
    by_stem = {"/".join([*Path(image).with_suffix("").parts[-2:]]): image for image in images}
    renamed = {stem.replace("Anomaly/", "bad/"): image for stem, image in by_stem.items()}
    if missing := [stem for stem in stems if stem not in renamed]:
        raise InputError(
            f"The published list of {dataset}, category {category!r}, names {missing[0]} and {len(missing) - 1} more "
            "images that are not in the test split. Restore these files from the dataset's archive. For other images "
            "under this name, draw the injected images: use a protocol without published lists (--protocol "
            "softpatch_overlap), a seed without one (--noise-seed 1), or another name of the category's folder."
        )
    return [renamed[stem] for stem in stems]
