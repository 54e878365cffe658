"""Rendering of pages from templates; every text of a user is escaped, in pages as in scripts."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from harness.config.versions import describe_versions
from reports.site.vega import library

STATIC = ("site.css", "site.js", "chart.js", "board.js", "method.js", "run.js", "vega-license.txt")
"""Files of the package that the site copies."""


@dataclass(frozen=True)
class Writer:
    """Writer of the files of a site."""

    folder: Path
    """Folder of the site."""
    links: tuple[tuple[str, str], ...]
    """Texts and addresses of the links that every page has."""

    def page(self, template: str, address: str, title: str, **content: Any) -> None:
        """Write a page.

        Args:
            template: Name of the template, without suffix.
            address: Path of the page in the site.
            title: Title of the page.
            content: Variables of the template.
        """
        text = _template(template).render(
            root="../" * address.count("/"),
            here=address,
            title=title,
            links=self.links,
            made=_made(),
            **content,
        )
        self._write(address, text)

    def script(self, address: str, call: str) -> None:
        """Write a script with data, see `assigned` and `chunk`."""
        self._write(address, call)

    def picture(self, address: str, content: bytes) -> None:
        """Write a picture."""
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def assets(self) -> None:
        """Write the styles, the scripts and the library of the curves."""
        own = files("reports.site") / "static"
        for name in STATIC:
            self._write(f"assets/{name}", (own / name).read_text(encoding="utf-8"))
        self._write("assets/vega.js", library())

    def _write(self, address: str, text: str) -> None:
        path = self.folder / address
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def assigned(name: str, value: Any) -> str:
    """Return a script that gives a value to a variable of the page.

    >>> assigned("MEDS_RUN", {"image": "a</script>"})
    'window.MEDS_RUN={"image":"a</script>"};'
    """
    return f"window.{name}={_json(value)};"


def chunk(address: str, value: Any) -> str:
    """Return a script that hands a value to a page that waits for it."""
    return f"Site.chunk({_json(address)},{_json(value)});"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


@functools.cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("reports.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html")


@functools.cache
def _made() -> str:
    """Return the sentence about the program that made the site."""
    git = describe_versions().get("git", "")
    return f"Made by make site{f' with revision {git[:7]}' if git else ''}."
