"""Labels of methods on a data set: the title, and the settings in which its runs differ from the most usual ones."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping

import pandas as pd

from harness.images import natural_key

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
    if not varying:
        return {
            "label": pd.Series(title, index=own.index),
            "main": pd.Series(True, index=own.index),
        }
    groups = filled.groupby(varying, sort=False).groups
    main = _main(groups, varying, usual)
    texts: dict[tuple[str, ...], str] = {}
    for values in groups:
        text = _label(title, dict(zip(varying, _tuple(values), strict=True)), _tuple(main))
        if text in texts.values():
            text = f"{text}, {hashlib.sha256(repr(values).encode()).hexdigest()[:4]}"
        texts[_tuple(values)] = text
    label, is_main = pd.Series("", index=own.index), pd.Series(False, index=own.index)
    for values, index in groups.items():
        label[index], is_main[index] = texts[_tuple(values)], values == main
    return {"label": label, "main": is_main}


def _tuple(values: object) -> tuple[str, ...]:
    return tuple(values) if isinstance(values, tuple) else (str(values),)


def _most_common(column: pd.Series) -> str:
    counts = column.value_counts()
    return str(counts.index[0]) if len(counts) else ""


def _main(
    groups: Mapping[Hashable, pd.Index], varying: list[str], usual: Mapping[str, pd.Series]
) -> Hashable:
    """Return the most usual settings: those that most runs of any method share, the middle ones of several."""

    def shared(values: Hashable) -> tuple[int, int]:
        pairs = zip(varying, _tuple(values), strict=True)
        return sum(int(usual[name].get(value, 0)) for name, value in pairs), len(groups[values])

    most = max(map(shared, groups))
    tied = [values for values in groups if shared(values) == most]
    return sorted(tied, key=lambda values: natural_key(" ".join(_tuple(values))))[len(tied) // 2]


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
