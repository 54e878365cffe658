"""Settings of MeDS that a search tried, with their results.   make figure-search"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from harness.metrics.names import MEAN, UNSEEN
from reports.plots.style import MARKERS, shades
from reports.tables.labels import METRICS, tidy, wide

TITLE = "Search for the settings of MeDS"
CAPTION = (
    "Every setting that was tried trained for a ninth of the steps, the better ones also for a third, and the best for "
    "all steps. Each training is one experiment. The profile's own setting is trained on every rung. "
    "Agreement is the rank correlation between the scores of the network and of sparse memories on the training "
    "images; it uses no label. Agreement alone selects the settings, unless the search declares categories whose "
    "labels may be used. Figure: agreement against the image AUROC on all test images. The AUROC selects nothing "
    "unless such categories are declared."
)
AGREEMENT = "memory_agreement"
RATE = "1,000 x learning rate"
SETTINGS = {
    "detector.finetuning.steps": "steps of fine-tuning",
    "detector.memory.ratio": "rho",
    "detector.selection.critical_value": "k",
    "detector.distillation.steps": "T",
    "detector.distillation.learning_rate": RATE,
}
TESTED = "tested on"


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results with one column per searched setting."""
    rows = tidy(results)
    numbers = {name: rows[setting].astype(float) for setting, name in SETTINGS.items()}
    numbers[RATE] = (1000 * numbers[RATE]).round(6)
    categories = rows.get("categories", pd.Series("None", index=rows.index))
    return rows.assign(**numbers, **{TESTED: categories.replace("None", "all")})


def shown(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the search's own metric and of the image AUROC."""
    return results[results["metric"].isin([AGREEMENT, "image_auroc"])]


def _tried(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting, sorted by training length and then by agreement, highest first."""
    rows = named(results)
    means = rows[(rows["category"] == MEAN) & (rows["readout"] != UNSEEN)]
    chosen = means[means["metric"].isin([AGREEMENT, *METRICS])]
    keys = [*SETTINGS.values(), TESTED]
    table = chosen.pivot_table(index=keys, columns="metric", values="value").reset_index()
    order = ["steps of fine-tuning", AGREEMENT]
    return table.sort_values(order, ascending=False, ignore_index=True)


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return every setting with its agreement and its image AUROC."""
    table = _tried(results)
    columns = [*SETTINGS.values(), TESTED, AGREEMENT, "image_auroc"]
    shown = (
        table[columns].rename(columns={AGREEMENT: "agreement", **METRICS}).rename_axis(columns=None)
    )
    return shown.astype({"steps of fine-tuning": int, "T": int})


def draw(results: pd.DataFrame) -> Figure:
    """Draw one point per experiment and one colour per training length."""
    table = _tried(results)
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    axes = figure.subplots()
    lengths = sorted(table["steps of fine-tuning"].unique())
    for length, colour, marker in zip(lengths, shades(len(lengths)), MARKERS, strict=False):
        points = table[table["steps of fine-tuning"] == length]
        label = f"{length:.0f} steps"
        axes.plot(points[AGREEMENT], points["image_auroc"], marker, color=colour, label=label)
    axes.set_xlabel("agreement with memories on training images")
    axes.set_ylabel(METRICS["image_auroc"])
    axes.legend()
    return figure


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting, read-out and category, with one column per metric."""
    return wide(named(results), by=[*SETTINGS.values(), TESTED])
