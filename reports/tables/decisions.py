"""Tables of decisions: what each threshold does on the test images, for means, kinds of defect and single images.

Runs of versions without thresholds have no row.
"""

from __future__ import annotations

import pandas as pd

from harness.metrics.names import ALL, DEFECT, MEAN, UNSEEN, ThresholdName
from reports.tables.cells import NONE, Runs
from reports.tables.labels import METRICS, tidy

TITLES = {
    "quantile": "{} % quantile",
    "mad": "median + {} MAD",
    "false_alarms": "{} % false alarms",
}
"""Titles of rules by kind; the number of the rule is filled in."""
F1MAX = "f1max"
"""Rule of the threshold with the largest F1, which needs labels."""
BASES = {
    "left_out": "training, image left out",
    "fitted": "training, as fitted",
    "validation": "validation",
    "labels": "test labels",
}
"""Descriptions of the scores behind a threshold (`harness.evaluation.thresholds`)."""
MEASURES = {"recall": "recall", "false_alarm_rate": "false-alarm rate", "f1": "F1"}
PROMISED = ("promised_low", "promised_high")
NO_SETTING = {
    *("run_id", "key", "milliseconds", "readout", "metric", "category", "value", "categories"),
    *("noise.ratio", "noise.seed", "seed", "method", "noise", "rho"),
}
"""Columns of tidy results that are no setting of a method."""
MOST = 1000
"""Maximum number of rows of a table of single images or kinds of defect on a page."""


def rule_title(rule: str) -> str:
    """Return the title of a rule in figures and tables.

    >>> rule_title("quantile_99.5"), rule_title("f1max"), rule_title("other_3")
    ('99.5 % quantile', 'F1-max', 'other_3')
    """
    kind, _, number = rule.rpartition("_")
    return "F1-max" if rule == F1MAX else TITLES.get(kind, rule).format(number)


def decisions(results: pd.DataFrame) -> pd.DataFrame:
    """Return the tidy rows of decisions, with their measure, rule and basis; the method includes varied settings."""
    names = {metric: ThresholdName.parse(metric) for metric in results["metric"].unique()}
    found = {metric: name for metric, name in names.items() if name is not None}
    rows = results[results["metric"].isin(found)]
    if rows.empty:
        return tidy(rows).assign(measure="", rule="", basis="")
    parts = {
        part: rows["metric"].map({metric: getattr(name, part) for metric, name in found.items()})
        for part in ThresholdName._fields
    }
    return named(results, rows).assign(**parts)


def named(results: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of results as tidy rows whose method also names the settings in which its experiments differ.

    Seeds are no such setting, and neither is a setting that some runs did not record.
    """
    settings = tidy(results.drop_duplicates("key")).sort_values("method", kind="stable")
    names: dict[str, str] = {}
    for method, group in settings.groupby("method", observed=True):
        varied = [c for c in group if c not in NO_SETTING and group[c].nunique() > 1]
        inner = [c for c in varied if not any(c.startswith(f"{other}.") for other in varied)]
        for key, values in zip(group["key"], group[inner].itertuples(index=False), strict=True):
            texts = [f"{c.rpartition('.')[2]} {v}" for c, v in zip(inner, values, strict=True)]
            names[key] = ", ".join([str(method), *texts])
    order = list(dict.fromkeys(names.values()))
    method = pd.Categorical(rows["key"].map(names), order, ordered=True)
    return tidy(rows).assign(method=method)


def decision_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, read-out, method and rule, averaged over categories and seeds."""
    rows = decisions(results)
    rows = rows[(rows["category"] == MEAN) & rows["readout"].isin([ALL, UNSEEN])]
    if rows.empty:
        return pd.DataFrame()
    keys = ["noise", "readout", "method"]
    means = rows.groupby([*keys, "rule", "basis", "measure"], observed=True)["value"].mean()
    table = means.unstack().reset_index(["rule", "basis"])
    runs = rows.groupby(keys, observed=True)["run_id"].unique()
    table = table.join(_auroc(results)).join(runs.rename("runs")).reset_index()
    promised = [
        NONE if low != low else f"{low:.3f} to {high:.3f}"
        for low, high in table.reindex(columns=PROMISED).itertuples(index=False)
    ]
    return table.assign(
        noise=table["noise"].map("{:.0%}".format),
        method=table["method"].astype(str),
        rule=table["rule"].map(rule_title),
        basis=table["basis"].map(lambda basis: BASES.get(basis, basis)),
        promised=promised,
        runs=table["runs"].map(lambda ids: Runs(tuple(ids))),
    )[[*keys, "rule", "basis", "image AUROC", *MEASURES, "promised", "runs"]].rename(
        columns={
            "readout": "read-out",
            "basis": "scores behind it",
            "promised": "promised false-alarm rate",
            **MEASURES,
        }
    )


def _auroc(results: pd.DataFrame) -> pd.Series:
    """Return image AUROC by noise, read-out and method, averaged over categories and seeds."""
    is_mean = (results["metric"] == "image_auroc") & (results["category"] == MEAN)
    rows = named(results, results[is_mean])
    means = rows.groupby(["noise", "readout", "method"], observed=True)["value"].mean()
    return means.rename(METRICS["image_auroc"])


def defect_table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per noise ratio, method and kind of defect, averaged over seeds.

    The columns are image AUROC against the normal images, and the recall of each rule. With more than `MOST` rows, only
    the highest noise ratio is left.
    """
    rows = results[results["readout"] == DEFECT]
    if rows.empty:
        return pd.DataFrame()
    rows = named(results, rows)
    table = _by_kind(rows)
    if len(table) > MOST:
        table = _by_kind(rows[rows["noise"] == rows["noise"].max()])
    return table


def _by_kind(rows: pd.DataFrame) -> pd.DataFrame:
    kinds = rows[rows["category"] != MEAN]
    parts = kinds["category"].str.partition("/")
    kinds = kinds.assign(category=parts[0], defect=parts[2], column=kinds["metric"].map(_heading))
    keys = ["noise", "method", "category", "defect"]
    table = kinds.groupby([*keys, "column"], observed=True)["value"].mean().unstack()
    first = ["images", "seen in training", METRICS["image_auroc"]]
    columns = [*first, *(column for column in table if column not in first)]
    table = table[columns].reset_index().rename_axis(columns=None)
    noise, method = table["noise"].map("{:.0%}".format), table["method"].astype(str)
    return table.assign(noise=noise, method=method)


def _heading(metric: str) -> str:
    name = ThresholdName.parse(metric)
    if name is not None:
        return f"recall, {rule_title(name.rule)}"
    own = {"auroc": METRICS["image_auroc"], "seen": "seen in training"}
    return own.get(metric, metric)


def image_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the first `MOST` rows of scores of test images, with the decision of every rule.

    Args:
        scores: Column `experiment`, and the columns of `harness.tracking.run_reader.scores_of`.
    """
    if scores.empty:
        return pd.DataFrame()
    shown = scores.head(MOST)
    table = shown[["experiment", "image", "category"]]
    for column, title in (("defect", "defect"), ("seen", "seen in training")):
        if column in shown:
            texts = (
                shown[column].map({True: "seen", False: ""}) if column == "seen" else shown[column]
            )
            table = table.assign(**{title: texts.fillna("")})
    table = table.assign(score=shown["score"])
    rules = {column: column.rpartition(".")[0] for column in shown if "." in column}
    for rule in dict.fromkeys(rules.values()):
        called = shown[[column for column, own in rules.items() if own == rule]].any(axis=1)
        table = table.assign(**{rule_title(rule): called.map({True: "anomalous", False: ""})})
    return table
