"""Labels of methods on a data set: the title, and the settings in which its runs differ from the most usual ones."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping

import pandas as pd

COMPONENTS = ("detector.", "encoder.", "noise.", "evaluation.")
"""Starts of the names of settings that belong to a method's label."""
NOT_LABELLED = ("noise.ratio", "noise.seed", "detector.title")
"""Settings that are axes of the site or that the title contains."""
RHO = "detector.memory.ratio"
"""Subsampling ratio of a memory, which a label always has if it varies."""
SHORT = {RHO: "ρ", "detector.network.discard": "p", "detector.selection.critical_value": "k"}
"""Symbols of settings."""


def label_methods(runs: pd.DataFrame) -> pd.DataFrame:
    """Add the columns `label` and `main` to runs with title, data and settings (see `Catalogue.runs`)."""
    parts = []
    for _, of_data in runs.groupby(["dataset", "data"], sort=False):
        settings = _settings(of_data)
        usual = {name: column.value_counts() for name, column in settings.items()}
        for title, of_title in of_data.groupby("title", sort=False):
            own = settings.loc[of_title.index]
            parts.append(of_title.assign(**_labels(str(title), own, usual)))
    return pd.concat(parts).sort_index()


def _settings(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the settings that labels may name as text.

    A run of an older version lacks settings that were added later. It has the usual value of its method.
    """
    names = [
        name
        for name in runs
        if name == "encoder" or (name.startswith(COMPONENTS) and name not in NOT_LABELLED)
    ]
    return runs[names].astype("string")


def _labels(title: str, own: pd.DataFrame, usual: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """Return the label of every run of a method, and whether the run has the method's main settings."""
    filled = own.apply(lambda column: column.fillna(_most_common(column)))
    varying = [name for name in filled if filled[name].nunique() > 1]
    of_run = [tuple(map(str, values)) for values in filled[varying].itertuples(index=False)]
    main = _main(Counter(of_run), varying, usual)
    texts: dict[tuple[str, ...], str] = {}
    for values in dict.fromkeys(of_run):
        text = _label(title, dict(zip(varying, values, strict=True)), main)
        if text in texts.values():
            text = f"{text}, {hashlib.sha256(repr(values).encode()).hexdigest()[:4]}"
        texts[values] = text
    return {
        "label": pd.Series([texts[values] for values in of_run], index=own.index),
        "main": pd.Series([values == main for values in of_run], index=own.index),
    }


def _most_common(column: pd.Series) -> str:
    counts = column.value_counts()
    return str(counts.index[0]) if len(counts) else ""


def _main(
    runs: Mapping[tuple[str, ...], int], varying: list[str], usual: Mapping[str, pd.Series]
) -> tuple[str, ...]:
    """Return the most usual settings: those that most runs of any method share, the middle ones of several."""

    def shared(values: tuple[str, ...]) -> tuple[int, int]:
        pairs = zip(varying, values, strict=True)
        return sum(int(usual[name].get(value, 0)) for name, value in pairs), runs[values]

    most = max(map(shared, runs))
    tied = [values for values in runs if shared(values) == most]
    return sorted(tied, key=lambda values: [_sortable(value) for value in values])[len(tied) // 2]


def _sortable(value: str) -> tuple[float, str]:
    """Return a key that sorts numbers by value, and texts after them."""
    try:
        return float(value), ""
    except ValueError:
        return math.inf, value


def _label(title: str, values: dict[str, str], main: tuple[str, ...]) -> str:
    differing = {
        name: value
        for (name, value), normal in zip(values.items(), main, strict=True)
        if value != normal
    }
    shown = {
        name: value
        for name, value in differing.items()
        if not any(name.startswith(f"{other}.") for other in differing)
    }
    if RHO in values and RHO not in shown and values[RHO]:
        shown = {RHO: values[RHO], **shown}
    return ", ".join([title, *(f"{_short(name)} {_plain(value)}" for name, value in shown.items())])


def _short(setting: str) -> str:
    return SHORT.get(setting, setting.rpartition(".")[2].replace("_", " "))


def _plain(value: str) -> str:
    """Return a value without the zeros that a number does not need.

    >>> _plain("1.0"), _plain("0.05"), _plain("exact")
    ('1', '0.05', 'exact')
    """
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
