"""Injected images of the training lists that the authors of MeDS published (MIT licence), for MVTec AD and VisA.

The JSON files contain only names: ratio -> seed -> category -> defect -> image numbers. The other images of a list are
all normal training images. Seed 0 is the seed of the paper's tables. Its hazelnut lists at 10 and 20 % deviate from the
rule of all other lists (48 and 55 images instead of 39 and 70).
"""

from __future__ import annotations

import functools
import json
from importlib import resources

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
