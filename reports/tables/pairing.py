"""Method names of several sets of results, equal for the same method even if its settings changed between the sets."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from reports.tables.labels import tidy

COMPONENTS = ("detector.", "encoder.")
"""Start of the names of settings that belong to a method."""


def named_alike(sides: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return tidy results; the method includes the settings that vary within one of the sets, not those between them.

    Args:
        sides: Results of two or more studies (`reports.tables.measured.measured`).
    """
    found = [tidy(side).assign(method=lambda rows: rows["method"].astype(str)) for side in sides]
    experiments = [side.drop_duplicates("key") for side in found]
    methods = dict.fromkeys(name for side in experiments for name in side["method"])
    varied = {
        name: list(
            dict.fromkeys(
                setting for side in experiments for setting in _varied(side[side["method"] == name])
            )
        )
        for name in methods
    }
    return [
        side.assign(method=side["key"].map(_names(own, varied)))
        for side, own in zip(found, experiments, strict=True)
    ]


def _varied(of_method: pd.DataFrame) -> list[str]:
    """Return the settings in which the experiments of a method differ, without those that contain others."""
    several = [
        name
        for name in of_method
        if str(name).startswith(COMPONENTS) and of_method[name].nunique(dropna=False) > 1
    ]
    return [n for n in several if not any(o.startswith(f"{n}.") for o in several)]


def _names(experiments: pd.DataFrame, varied: dict[str, list[str]]) -> dict[str, str]:
    names = {}
    for row in experiments.to_dict("records"):
        settings = [s for s in varied[row["method"]] if s in row]
        parts = [f"{s.rpartition('.')[2]} {row[s]}" for s in settings]
        names[row["key"]] = ", ".join([row["method"], *parts])
    return names


def changed_settings(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the settings that have other values after than before: columns method, setting, before, after.

    Settings that only one of both recorded are left out, because versions record more than earlier ones.

    Args:
        before: Results from `named_alike`.
        after: Likewise.
    """
    sides = [side.drop_duplicates("key") for side in (before, after)]
    shared = [name for name in before if name in after and _is_setting(str(name))]
    rows = []
    for method in (m for m in sides[0]["method"].unique() if (sides[1]["method"] == m).any()):
        own = [side[side["method"] == method] for side in sides]
        for setting in shared:
            values = [sorted(of[setting].dropna().astype(str).unique()) for of in own]
            if values[0] != values[1] and all(values):
                texts = [", ".join(each) for each in values]
                rows.append((method, setting, *texts))
    return pd.DataFrame(rows, columns=["method", "setting", "before", "after"])


def _is_setting(name: str) -> bool:
    return name.startswith((*COMPONENTS, "evaluation.", "noise.")) or name in ("dataset", "seed")
