"""What stands in the cells of a table, and how it is written in Markdown, LaTeX and HTML alike."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

TIE = "≈"
NONE = "–"
"""In place of a number that there is not."""
SYMBOLS = {
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    NONE: "--",
    TIE: r"$\approx$",
    "∞": r"$\infty$",
    "ρ": r"$\rho$",
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
LATEX = str.maketrans(SYMBOLS | {sign: f"\\{sign}" for sign in "&%$#_{}"})


@dataclass(frozen=True)
class Span:
    """Text in one style."""

    text: str
    bold: bool = False
    underlined: bool = False
    raised: bool = False
    """A footnote's mark."""


BREAK = Span("\n")


@dataclass(frozen=True)
class NumberCell:
    """A number among others that it was compared with."""

    text: str
    best: bool = False
    best_baseline: bool = False
    tie: bool = False
    """No different from the best as far as its units tell."""

    def __str__(self) -> str:
        return f"{self.text} {TIE}" if self.tie else self.text

    @property
    def pieces(self) -> list[Span]:
        """As it is written."""
        return [Span(str(self), bold=self.best, underlined=self.best_baseline)]


@dataclass(frozen=True)
class PairedCell:
    """Our numbers, one per metric, and the published ones below them."""

    ours: tuple[NumberCell, ...]
    published: tuple[str, ...] = ()
    """As printed; none where the table is of other data."""
    marks: tuple[str, ...] = ()
    """Of the footnotes to the published numbers, empty without one."""

    @property
    def pieces(self) -> list[Span]:
        """As it is written."""
        pieces = []
        for number in self.ours:
            pieces += [Span("/"), *number.pieces]
        for place, (text, mark) in enumerate(zip(self.published, self.marks, strict=True)):
            pieces += [Span("/")] if place else [BREAK, Span("(")]
            pieces += [Span(text), Span(mark, raised=True)] if mark else [Span(text)]
        return [*pieces[1:], Span(")")] if self.published else pieces[1:]

    def __str__(self) -> str:
        texts = [f"[{piece.text}]" if piece.raised else piece.text for piece in self.pieces]
        return "".join(texts).replace(BREAK.text, " ")


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
    text = table.map(_markdown)
    if text.columns.nlevels > 1:
        text.columns = pd.Index([" ".join(name).strip() for name in text.columns])
    return str(text.to_markdown(index=False, disable_numparse=True))


def to_latex(table: pd.DataFrame, caption: str, footnotes: Mapping[str, str] | None = None) -> str:
    """A LaTeX table with its caption, for a document that uses the package booktabs; footnotes have a text per mark."""
    text = table.map(_latex).rename(columns=lambda name: str(name).translate(LATEX))
    latex = str(
        text.to_latex(
            index=False,
            escape=False,
            caption=caption.translate(LATEX),
            multicolumn_format="c",
        )
    )
    notes = [
        rf"\textsuperscript{{{mark}}} {note.translate(LATEX)}."
        for mark, note in (footnotes or {}).items()
    ]
    return (
        latex.replace("\\end{table}", "\n".join(["\\par", *notes, "\\end{table}"]))
        if notes
        else latex
    )


def to_html(cell: object) -> Markup:
    """A cell as the inside of a table's cell; runs link to their rows on the same page."""
    if isinstance(cell, Runs):
        links = [
            Markup('<a href="#run-{}">{}</a>').format(run, place)
            for place, run in enumerate(cell.ids, start=1)
        ]
        return Markup(" ").join(links)
    text = Markup("")
    for piece in _pieces(cell):
        part = Markup("<br>") if piece == BREAK else escape(piece.text)
        for wanted, tag in ((piece.underlined, "u"), (piece.bold, "b"), (piece.raised, "sup")):
            part = Markup(f"<{tag}>{{}}</{tag}>").format(part) if wanted else part
        text += part
    return text


def heads(columns: pd.Index) -> list[list[tuple[str, int]]]:
    """Rows of a table's head: texts and how many columns each stands over; the last row has one per column.

    >>> heads(pd.MultiIndex.from_tuples([("", "method"), ("AP", "0%"), ("AP", "10%")]))
    [[('', 1), ('AP', 2)], [('method', 1), ('0%', 1), ('10%', 1)]]
    """
    names = [column if isinstance(column, tuple) else (column,) for column in columns]
    rows = []
    for level in range(columns.nlevels - 1):
        groups = itertools.groupby(names, key=lambda name: name[: level + 1])
        rows.append([(str(group[-1]), len(list(members))) for group, members in groups])
    return [*rows, [(str(name[-1]), 1) for name in names]]


def _pieces(cell: object) -> list[Span]:
    return cell.pieces if isinstance(cell, NumberCell | PairedCell) else [Span(plain(cell))]


def _markdown(cell: object) -> str:
    text = ""
    for piece in _pieces(cell):
        part = "<br>" if piece == BREAK else piece.text.replace("|", r"\|")
        part = f"<ins>{part}</ins>" if piece.underlined else part
        part = f"**{part}**" if piece.bold else part
        text += f"<sup>{part}</sup>" if piece.raised else part
    return text


def _latex(cell: object) -> str:
    pieces, text = _pieces(cell), ""
    for piece in pieces:
        part = r"\\" if piece == BREAK else piece.text.translate(LATEX)
        part = rf"\underline{{{part}}}" if piece.underlined else part
        part = rf"\textbf{{{part}}}" if piece.bold else part
        text += rf"\textsuperscript{{{part}}}" if piece.raised else part
    return rf"\shortstack{{{text}}}" if BREAK in pieces else text
