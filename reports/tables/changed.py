"""Changes between two sets of results in plain words: counts, settings, and the largest changes beyond chance."""

from __future__ import annotations

import pandas as pd

from reports.tables.labels import METRICS

SHOWN = 12
"""Maximum number of changes and of settings in the text; the CSV file has all."""
TEXTS = {
    "equal": "are equal",
    "within chance": "changed within chance",
    "beyond chance": "changed beyond chance",
    "unknown": "changed, and chance cannot be measured",
}
"""Continuations of a count, by verdict."""


def describe_changes(found: pd.DataFrame, settings: pd.DataFrame) -> str:
    """Return the text about two sets of results.

    Args:
        found: See `reports.statistics.changes.changes`.
        settings: See `reports.tables.pairing.changed_settings`.
    """
    if found.empty:
        return "The two have no number in common: no dataset, method, noise ratio, read-out and metric is in both."
    counts = found["verdict"].value_counts()
    parts = [f"{counts[name]:,} {text}" for name, text in TEXTS.items() if name in counts]
    lines = [f"Of {len(found):,} means over seeds and categories, {', '.join(parts)}."]
    if len(settings):
        lines.append(_settings(settings))
    beyond = _sorted(found[found["verdict"] == "beyond chance"])
    if len(beyond):
        lines.append(_listed("Beyond chance, the largest first:", beyond))
    unknown = _sorted(found[found["verdict"] == "unknown"])
    if len(unknown):
        lines.append(
            _listed(
                "Of unknown chance, the largest first. There is one seed, and no score of single images that gives the "
                "number, so nothing shows how much it varies:",
                unknown,
            )
        )
    units = found.loc[~found["verdict"].isin(["equal", "unknown"]), "unit"].value_counts()
    lines += [f"{unit} ({count:,} numbers)." for unit, count in units.head(3).items()]
    return "\n\n".join(lines)


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.loc[rows["change"].abs().sort_values(ascending=False, kind="stable").index]


def _settings(settings: pd.DataFrame) -> str:
    lines = [
        f"* {row.method}: {row.setting} was {row.before}, is {row.after}"
        for row in settings.head(SHOWN).itertuples()
    ]
    more = [f"* and {len(settings) - SHOWN} more"] if len(settings) > SHOWN else []
    return "\n".join(["Settings that changed:", *lines, *more])


def _listed(title: str, rows: pd.DataFrame) -> str:
    lines = [f"* {_sentence(row)}" for row in rows.head(SHOWN).to_dict("records")]
    more = [f"* and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return "\n".join([title, *lines, *more])


def _sentence(row: dict) -> str:
    """Return one change, such as `MeDS, noise 40%, image AUROC (all): 75.4 to 73.0 %, -2.4 [-3.0, -1.8]`."""
    place = f"{row['method']}, noise {row['noise']:.0%}"
    metric = f"{METRICS.get(row['metric'], row['metric'])} ({row['readout']})"
    limits = (
        "" if row["low"] != row["low"] else f" [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
    )
    change = f"{100 * row['before']:.1f} to {100 * row['after']:.1f} %, {100 * row['change']:+.1f}{limits}"
    return f"{place}, {metric}: {change}"
