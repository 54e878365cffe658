"""Hooks of Sphinx: the navigation, the pages of the Python API, and references in docstrings.

The pages are plain Markdown that repository hosts also render, so these hooks add the directives of Sphinx.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.generator.packages import OURS, PUBLIC, exists, located, public_names

LINK = re.compile(r"\]\((?P<page>[\w-]+)\.md\)")
HIDDEN_COLON = "\ue000"
"""Character of the private use area that stands for a colon while napoleon reads a docstring."""
QUOTED = re.compile(r"(?<![`:])`(?P<text>[^`\n]+)`(?!`)")
"""Text between single backticks, except in a Sphinx role."""


def setup(app: Any) -> None:
    """Connect the hooks to Sphinx."""
    app.connect("builder-inited", write_api_pages)
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-docstring", hide_colon, priority=400)
    app.connect("autodoc-process-docstring", link_names, priority=600)
    app.connect("missing-reference", resolve)


def write_api_pages(app: Any) -> None:
    """Write a page for every public package into docs/api, which git ignores."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    for package in PUBLIC:
        name = f"harness.{package}"
        names = ", ".join(public_names(importlib.import_module(name)))
        text = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n   :members: {names}\n"
        page = folder / f"{name}.rst"
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def add_navigation(_app: Any, page: str, source: list[str]) -> None:
    """Add the table of contents to the pages that list other pages."""
    if page == "index":
        for section in re.split(r"^## ", source[0], flags=re.MULTILINE)[1:]:
            pages = LINK.findall(section)
            source[0] += _toctree(pages, f":hidden:\n:caption: {section.partition(chr(10))[0]}")
    if page == "api":
        source[0] += _toctree([f"api/harness.{package}" for package in PUBLIC], ":maxdepth: 1")


def _toctree(pages: list[str], options: str) -> str:
    return "\n".join(["", "", "```{toctree}", options, "", *dict.fromkeys(pages), "```", ""])


def hide_colon(
    _app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Hide the colons in the first line of an attribute from napoleon, which would read a type before a colon."""
    if what in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", HIDDEN_COLON)


def link_names(
    _app: Any, _what: str, _name: str, _obj: Any, _options: Any, lines: list[str]
) -> None:
    """Turn names of this project in single backticks into references, and other quoted text into code."""
    lines[:] = [QUOTED.sub(_linked, line.replace(HIDDEN_COLON, ":")) for line in lines]


def _linked(found: re.Match[str]) -> str:
    """Return a reference to a dotted name of this project, or the quoted text as code.

    >>> QUOTED.sub(_linked, "see `harness.noise.Noise` and `ratio`")
    'see :py:obj:`harness.noise.Noise` and ``ratio``'
    """
    text = found["text"]
    is_ours = re.fullmatch(rf"({'|'.join(OURS)})(\.\w+)+", text)
    return f":py:obj:`{text}`" if is_ours else f"``{text}``"


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Resolve a reference that Sphinx does not know; return None for a name that does not exist.

    A name of this project links to the page of the public package that offers it. If no package offers it, the name
    stays plain text. Names of other projects stay plain text, too, because a build reads nothing from the network.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py":
        return None
    if target.partition(".")[0] not in OURS:
        return content
    if not exists(target):
        return None
    for name in _public_aliases(target):
        domain, source = env.get_domain("py"), node.get("refdoc", "index")
        link = domain.resolve_xref(env, source, app.builder, "obj", name, node, content)
        if link is not None:
            return link
    return content


def _public_aliases(target: str) -> list[str]:
    """Return the names under which public packages offer an object, or the owner of the named attribute."""
    parent, _, last = target.rpartition(".")
    modules = [importlib.import_module(f"harness.{package}") for package in PUBLIC]
    whole = [
        f"{module.__name__}.{n}" for module in modules for n in _names_of(module, located(target))
    ]
    owned = [
        f"{module.__name__}.{n}.{last}"
        for module in modules
        for n in _names_of(module, located(parent))
    ]
    return [*whole, *owned]


def _names_of(module: ModuleType, value: Any) -> list[str]:
    if value is None or isinstance(value, ModuleType):
        return []
    return [name for name in public_names(module) if getattr(module, name) is value]
