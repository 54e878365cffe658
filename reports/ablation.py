"""Ablation of the stages of MeDS, alone and together, over training seeds (Table 4).   make figure-ablation"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.pages.captions import MEMORY_ALONE
from reports.plots.seeds import CAPTION as OVER_SEEDS
from reports.plots.seeds import draw_groups, over_seeds
from reports.tables.comparison import summarise
from reports.tables.labels import tidy

TITLE = "What each stage of MeDS does"
CAPTION = (
    f"{OVER_SEEDS} Baseline: the plain network, trained for the steps of both stages; p is the share of easy "
    "patches whose gradient is damped. Random init fine-tune and MeDS select images with the distilled network; "
    "fine-tuned with memory selects images with the memory ensemble. "
    f"{MEMORY_ALONE}"
)
BASELINE = "baseline"
"""Row name of a plain network that has no share p."""
ROWS = (
    "baseline, p 0.9",
    "baseline, p 0.5",
    "memory ensemble",
    "distilled model",
    "fine-tuned with memory",
    "random init fine-tune",
    "MeDS",
)


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Return tidy results whose method is a row of the paper's table, in the order of the table."""
    rows = tidy(results)

    def has(column: str, value: str) -> pd.Series:
        return rows.get(column, pd.Series("", index=rows.index)).astype(str) == value

    meds = rows["detector"] == "MeDS"
    discard = rows.get("detector.network.discard", pd.Series(index=rows.index, dtype=object))
    own = ("baseline, p " + discard.astype(str)).where(discard.notna(), BASELINE)
    name = np.select(
        [
            rows["detector"] == "PlainNetwork",
            rows["detector"] == "MemoryDetector",
            meds & has("detector.finetuning", "None"),
            meds & has("detector.distillation", "None"),
            meds & has("detector.start", "random"),
        ],
        [own, *ROWS[2:6]],
        ROWS[6],
    )
    method = pd.Categorical(name, categories=(BASELINE, *ROWS), ordered=True)
    return rows.assign(method=method).sort_values(["method", "noise", "readout"], kind="stable")


def draw(results: pd.DataFrame) -> Figure:
    """Draw one group of seeds per row at every noise ratio."""
    return draw_groups(named(results), "image_auroc")


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's metrics of every row, one block per noise ratio and read-out."""
    return summarise(named(results))


def table(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over training seeds, per row and noise ratio, of category means."""
    return over_seeds(named(results), ["method", "noise"])
