"""Library of the curves: Vega-Lite with Vega and its embedding, in one script that needs no network."""

from __future__ import annotations

import functools

import vl_convert

VERSION = "6.4"
"""Version of Vega-Lite."""
SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""Script that gives the bundled library to the page."""


@functools.cache
def library() -> str:
    """Return the script that defines `vegaEmbed`.

    Its own names stay inside a function, since a page from disk cannot load modules.
    """
    bundle = vl_convert.javascript_bundle(SNIPPET, vl_version=VERSION)
    return f"(() => {{\n{bundle}\n}})();\n"
