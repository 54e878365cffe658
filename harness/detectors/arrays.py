"""Names of the arrays of a fitted detector that has one part per category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


def numbered(parts: Iterable[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of several parts under distinct names: the number of the part, a slash, the name.

    >>> list(numbered([{"rows": np.zeros(1)}, {"rows": np.ones(1)}]))
    ['0/rows', '1/rows']
    """
    return {
        f"{number}/{name}": array
        for number, part in enumerate(parts)
        for name, array in part.items()
    }


def parts_of(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Return the parts from which `numbered` made these arrays.

    Raises:
        ValueError: a name does not start with the number of a part.

    >>> [list(part) for part in parts_of({"0/rows": np.zeros(1), "1/rows": np.ones(1)})]
    [['rows'], ['rows']]
    """
    parts: dict[int, dict[str, np.ndarray]] = {}
    for full, array in arrays.items():
        number, _, name = full.partition("/")
        parts.setdefault(int(number), {})[name] = array
    return [parts[number] for number in sorted(parts)]
