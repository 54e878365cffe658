"""What stands in the cells of a table, and how it is written in Markdown, LaTeX and HTML alike."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

TIE = "≈"
SYMBOLS = {
    "±": r"$\pm$",
    TIE: r"$\approx$",
    "∞": r"$\infty$",
    "ρ": r"$\rho$",
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
LATEX = str.maketrans(SYMBOLS | {sign: f"\\{sign}" for sign in "&%$#_{}"})


@dataclass(frozen=True)
class Number:
    """A number among others that it was compared with."""

    text: str
    best: bool = False
    best_baseline: bool = False
    tie: bool = False
    """No different from the best as far as its units tell."""

    def __str__(self) -> str:
        return f"{self.text} {TIE}" if self.tie else self.text


@dataclass(frozen=True)
class Runs:
    """The runs behind a row; as text, how many."""

    ids: tuple[str, ...]

    def __str__(self) -> str:
        return str(len(self.ids))


def plain(cell: object) -> str:
    """A cell as text: floats with three digits, nothing where there is no number."""
    if isinstance(cell, float):
        return "" if pd.isna(cell) else f"{cell:.3f}"
    return str(cell)


def to_markdown(table: pd.DataFrame) -> str:
    """A table in Markdown; underlined is `<ins>`, which pages of repositories show, too."""
    return str(table.map(_markdown).to_markdown(index=False, disable_numparse=True))


def to_latex(table: pd.DataFrame, caption: str) -> str:
    """A LaTeX table with its caption, for a document that uses the package booktabs."""
    text = table.map(_latex).rename(columns=lambda name: str(name).translate(LATEX))
    return str(text.to_latex(index=False, escape=False, caption=caption.translate(LATEX)))


def to_html(cell: object) -> Markup:
    """A cell as the inside of a table's cell; runs link to their rows on the same page."""
    if isinstance(cell, Runs):
        links = [
            Markup('<a href="#run-{}">{}</a>').format(run, place)
            for place, run in enumerate(cell.ids, start=1)
        ]
        return Markup(" ").join(links)
    text = escape(plain(cell))
    if isinstance(cell, Number):
        text = Markup("<u>{}</u>").format(text) if cell.best_baseline else text
        text = Markup("<b>{}</b>").format(text) if cell.best else text
    return text


def _markdown(cell: object) -> str:
    text = plain(cell).replace("|", r"\|")
    if isinstance(cell, Number):
        text = f"<ins>{text}</ins>" if cell.best_baseline else text
        text = f"**{text}**" if cell.best else text
    return text


def _latex(cell: object) -> str:
    text = plain(cell).translate(LATEX)
    if isinstance(cell, Number):
        text = rf"\underline{{{text}}}" if cell.best_baseline else text
        text = rf"\textbf{{{text}}}" if cell.best else text
    return text
