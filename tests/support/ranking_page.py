"""The page of a ranking in a browser: helpers for scripts, and a function that writes and opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.ranking.page import write
from harness.ranking.ranking import Ranking
from tests.support.browser import browse

HELPERS = """
  const byId = (id) => document.getElementById(id);
  const boxes = [...document.querySelectorAll("#cards input")];
  const ticks = () => boxes.flatMap((box, place) => (box.checked ? [place] : []));
  const shown = () => boxes.flatMap((box, place) => (box.checkVisibility() ? [place] : []));
  const focused = () => boxes.indexOf(document.activeElement);
  const press = (key, more = {}) => document.activeElement.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more }));
  const set = (id, value, kind) => {
    byId(id).value = value;
    byId(id).dispatchEvent(new Event(kind, { bubbles: true }));
  };
"""
NAMES = tuple(f"{place}.png" for place in range(6))


def open_page(ranking: Ranking, script: str, folder: Path, **settings: Any) -> Any:
    """Write the page of a ranking into a folder, open it there, and run a script."""
    write(ranking, folder)
    text = (folder / "ranking.html").read_text(encoding="utf-8")
    return browse(text, HELPERS + script, folder, **settings)
