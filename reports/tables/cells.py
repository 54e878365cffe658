"""Contents of table cells, and their rendering in Markdown, LaTeX and HTML."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

TIE, APART, UNTESTED = "≈", "≠", "?"
"""Marks of a number beside the best one: within chance, beyond chance beside a farther tie, not tested."""
NONE = "–"
"""Placeholder for a missing number."""
SYMBOLS = {
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    NONE: "--",
    TIE: r"$\approx$",
    APART: r"$\neq$",
    "∞": r"$\infty$",
    "ρ": r"$\rho$",
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}
LATEX = str.maketrans(SYMBOLS | {sign: f"\\{sign}" for sign in "&%$#_{}"})


@dataclass(frozen=True)
class Span:
    """Piece of text in one style."""

    text: str
    bold: bool = False
    underlined: bool = False
    raised: bool = False
    """True if the text is the mark of a footnote."""


BREAK = Span("\n")


@dataclass(frozen=True)
class NumberCell:
    """Number with the marks of its comparison with other numbers."""

    text: str
    best: bool = False
    best_baseline: bool = False
    mark: str = ""
    """Mark after the number: `TIE`, `APART`, `UNTESTED` or none."""

    def __str__(self) -> str:
        return f"{self.text} {self.mark}" if self.mark else self.text

    @property
    def pieces(self) -> list[Span]:
        """Styled pieces of the text."""
        return [Span(str(self), bold=self.best, underlined=self.best_baseline)]


@dataclass(frozen=True)
class PairedCell:
    """Our numbers, one per metric, above the published numbers."""

    ours: tuple[NumberCell, ...]
    published: tuple[str, ...] = ()
    """Published numbers as printed; empty if the table is about other data."""
    marks: tuple[str, ...] = ()
    """Footnote mark of each published number; an empty text if the number has no footnote."""

    @property
    def pieces(self) -> list[Span]:
        """Styled pieces of the text: our numbers, then the published numbers in parentheses."""
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
    """Runs behind a row; the text of the cell is their number."""

    ids: tuple[str, ...]

    def __str__(self) -> str:
        return str(len(self.ids))


def plain(cell: object) -> str:
    """Return a cell as text: a float with three decimals, or an empty text for NaN."""
    if isinstance(cell, float):
        return "" if pd.isna(cell) else f"{cell:.3f}"
    return str(cell)


def to_markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown; underlining uses `<ins>`, which repository hosts also render."""
    text = table.map(_markdown)
    if text.columns.nlevels > 1:
        text.columns = pd.Index([" ".join(name).strip() for name in text.columns])
    return str(text.to_markdown(index=False, disable_numparse=True))


def to_latex(table: pd.DataFrame, caption: str, footnotes: Mapping[str, str] | None = None) -> str:
    """Return a LaTeX table with its caption, for a document that uses the package booktabs.

    The mapping `footnotes` has one text per mark.
    """
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
    """Return the inner HTML of a cell; runs link to their rows on the same page."""
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
    """Return the header rows of a table as pairs of text and column span; the last row has one pair per column.

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
