"""Index of the numbered figures and tables in the papers of MeDS and AD2: their studies, and the forms of tables."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from harness.metrics.names import ALL
from reports import ablation, loco
from reports.pages.captions import MEMORY_ALONE
from reports.published.paper import methods


@dataclass(frozen=True, kw_only=True)
class Form:
    """Layout of a table whose axes are method, category, noise and metric."""

    title: str
    rows: str
    """Axis that has one row per value."""
    columns: tuple[str, ...]
    """Axes of the columns, outermost first. The values of an axis in neither rows nor columns share a cell."""
    pairs: bool = False
    """True if bold compares networks with and without MeDS, see `reports.tables.comparison.Style`."""
    readout: str = ALL
    names: Callable[[pd.DataFrame], pd.Series] = methods
    """Function that returns the names of our methods in the table."""
    remark: str = ""
    """Sentences of the caption on a difference between our rows and the published ones."""


@dataclass(frozen=True, kw_only=True)
class NumberedTable:
    """Numbered table of a publication."""

    form: Form
    studies: tuple[str, ...]
    """Studies that can fill the table; the first study with results is used."""
    table: str
    """Name of the table in `paper.csv`."""
    source: str = "paper"
    dataset: str = ""
    """Dataset to which the table is restricted; empty for the complete table."""


def _stages(results: pd.DataFrame, memory: str) -> pd.Series:
    """Return the paper's names for the rows of our ablation."""
    names = {
        "baseline": "Baseline",
        "baseline, p 0.9": "Baseline",
        "memory ensemble": memory,
        "distilled model": "Distilled model",
        "fine-tuned with memory": "Fine-tuned with memory",
        "random init fine-tune": "Random init fine-tune",
        "MeDS": "MeDS (ours)",
    }
    return ablation.named(results)["method"].astype(object).map(names)


def _ad2(results: pd.DataFrame) -> pd.Series:
    """Return the names of methods in the AD2 paper; variants of AD2 get names that the paper does not use."""
    return loco.named(results)["method"].astype(object)


def _modules(results: pd.DataFrame) -> pd.Series:
    """Return the AD2 paper's names for combinations of the modules of AD2."""
    names = {"neither module": "none", "NMFE alone": "NMFE", "ATDR alone": "ATDR"}
    return loco.named(results)["method"].astype(object).map({**names, "AD2": "NMFE+ATDR"})


MAIN = Form(
    title="methods under contamination", rows="method", columns=("metric", "noise"), pairs=True
)
REAL_IAD = Form(title="methods under contamination", rows="method", columns=("metric", "noise"))
ABLATION = Form(
    title="ablation of the stages of MeDS",
    rows="method",
    columns=("metric", "noise"),
    names=functools.partial(_stages, memory="Memory ensemble"),
    remark=MEMORY_ALONE,
)
INP_FORMER = replace(ABLATION, names=functools.partial(_stages, memory="Memory only"))
CATEGORIES = Form(title="methods by category", rows="category", columns=("method",))
CORRECTION = Form(
    title="label correction by category",
    rows="category",
    columns=("metric", "noise", "method"),
    pairs=True,
    readout="training images",
)


_BY_KIND = Form(title="methods", rows="method", columns=("category",), names=_ad2)


def _table(number: int, form: Form, *studies: str) -> dict[str, NumberedTable]:
    table = NumberedTable(form=form, studies=studies, table=f"T{number}")
    return {f"table-{number}": table}


TABLES = {
    **_table(1, MAIN, "mvtec_ad", "baselines"),
    **_table(2, MAIN, "visa", "baselines"),
    **_table(3, REAL_IAD, "real_iad", "baselines"),
    **_table(4, ABLATION, "ablation"),
    **_table(5, INP_FORMER, "ablation_inp_former"),
    **{
        name: table
        for first, study in ((6, "mvtec_ad"), (14, "visa"), (22, "real_iad"))
        for number in range(first, first + 8)
        for name, table in _table(number, CATEGORIES, study, "baselines").items()
    },
    **_table(30, CORRECTION, "label_correction"),
    **{
        f"table-ad2-{number}": NumberedTable(
            form=form, studies=("loco",), table=f"T{number}", source="ad2", dataset="MVTec-LOCO"
        )
        for number, form in (
            (1, _BY_KIND),
            (2, _BY_KIND),
            (3, Form(title="modules", rows="method", columns=("metric",), names=_modules)),
            (4, Form(title="noise", rows="noise", columns=("category", "method"), names=_ad2)),
        )
    },
}
"""Tables by the name of their `make` target. On our own profiles, the study `baselines` has most of their methods."""
FIGURES = {
    "figure-2": "rho",
    "figure-3": "theorem",
    "figure-4": "ensemble_size",
    "figure-5": "iterations",
    "figure-6": "critical_value",
    "figure-7": "label_correction",
    "figure-8": "top_percent",
}
"""Studies whose reports contain the figures, by the name of the `make` target."""
