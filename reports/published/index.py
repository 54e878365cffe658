"""The numbered figures and tables of the papers of MeDS and AD2: which study draws which, and a table's form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from reports import ablation, loco
from reports.published.paper import methods


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a table is laid out. Its axes are method, category, noise and metric."""

    title: str
    rows: str
    """Axis whose values have a row each."""
    columns: tuple[str, ...]
    """Axes whose values have columns, the outermost first; an axis that is neither row nor column stands in a cell."""
    pairs: bool = False
    """How its numbers are marked, see `reports.tables.comparison.Style`."""
    readout: str = "all"
    names: Callable[[pd.DataFrame], pd.Series] = methods
    """How our results' methods are called in it."""


@dataclass(frozen=True, kw_only=True)
class NumberedTable:
    """A table of a publication."""

    form: Form
    studies: tuple[str, ...]
    """Whose results it shows: the first of them that has any."""
    table: str
    """Its name in `paper.csv`."""
    source: str = "paper"
    dataset: str = ""
    """The part of it on this dataset; all of it if empty."""


def _stages(results: pd.DataFrame, memory: str) -> pd.Series:
    """Rows of our ablation as the paper calls them."""
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
    """Methods as the paper of AD2 calls them; variants of AD2 have names that it has not."""
    return loco.named(results)["method"].astype(object)


def _modules(results: pd.DataFrame) -> pd.Series:
    """AD2's modules as its paper calls them."""
    names = {"neither module": "none", "NMFE alone": "NMFE", "ATDR alone": "ATDR"}
    return loco.named(results)["method"].astype(object).map({**names, "AD2": "NMFE+ATDR"})


MAIN = Form(
    title="methods under contamination", rows="method", columns=("metric", "noise"), pairs=True
)
REAL_IAD = Form(title="methods under contamination", rows="method", columns=("metric", "noise"))
ABLATION = Form(
    title="what each stage of MeDS does",
    rows="method",
    columns=("metric", "noise"),
    names=functools.partial(_stages, memory="Memory ensemble"),
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
"""By what `make` calls them. The study `baselines` has most methods of the main tables on profiles of our own."""
FIGURES = {
    "figure-2": "rho",
    "figure-3": "theorem",
    "figure-4": "ensemble_size",
    "figure-5": "iterations",
    "figure-6": "critical_value",
    "figure-7": "label_correction",
    "figure-8": "top_percent",
}
"""The study whose report has the figure, by what `make` calls it."""
