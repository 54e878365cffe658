"""Tables and figures of results, from the exported runs in docs/results, each with the machine that it was made on.

A block is named after an export, a metric and a read-out, for example `rho-mtd/image_auroc/all`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

import reports.rho
from harness.config.versions import ROOT
from harness.errors import InputError
from harness.tracking.export import MANIFEST
from harness.tracking.exported import read_results
from reports.pages.captions import short_caption
from reports.plots.style import STYLE, add_footnote
from reports.tables.categories import merge_single_category
from reports.tables.cells import NONE, NumberCell, to_markdown
from reports.tables.comparison import Style, compared, how_compared
from reports.tables.labels import METRICS, tidy
from sweeps.profiles import PROFILES

EXPORTS = ROOT / "docs" / "results"
"""Folder with one exported study in each subfolder, and with measurements of speed in `bench`."""
MEASUREMENTS = "bench"
ELSEWHERE = ("coverage", "neighbours")
"""Measurements that a block `bench/NAME` shows beside the text about them."""
STYLE_OF_CELLS = Style(factor=1.0, digits=3)
"""Numbers as fractions of 1 with three decimals."""


def write_block(name: str) -> str:
    """Return the text of a block: the table of an export, or all measurements of speed.

    Raises:
        InputError: The block has no such name, or its export is missing.
    """
    if name == MEASUREMENTS:
        return "\n\n".join(_measurements()) or _no_measurements()
    export, *rest = name.split("/")
    if export == MEASUREMENTS and len(rest) == 1 and rest[0] in ELSEWHERE:
        return _measurement(EXPORTS / f"{name}.json")
    if len(rest) != 2 or rest[0] not in METRICS:
        raise InputError(
            f"There is no block {name!r} of results. A block is named EXPORT/METRIC/READOUT, with a folder of "
            f"docs/results, a metric ({', '.join(METRICS)}) and a read-out (all or unseen)."
        )
    metric, readout = rest
    results = merge_single_category(read_results(EXPORTS / export))
    manifest = json.loads((EXPORTS / export / MANIFEST).read_text(encoding="utf-8"))
    table = to_markdown(by_noise(results, metric, readout))
    caption = f"{METRICS[metric]} on {short_caption(results, readout)} {how_compared(results)}"
    return f"{table}\n\n{caption[0].upper()}{caption[1:]}\n\n{_origin(manifest)}"


def by_noise(results: pd.DataFrame, metric: str, readout: str) -> pd.DataFrame:
    """Return a metric with one row per method and subsampling ratio, and one column per noise ratio.

    A cell is a mean over training seeds, with the standard deviation if there are several seeds.
    """
    rows = tidy(results).sort_values(["method", "rho"], kind="stable")
    rows = rows[(rows["metric"] == metric) & (rows["readout"] == readout)]
    seed = rows["noise.seed"].astype(str) + "/" + rows["seed"].astype(str)
    ratio = rows["rho"].map(", ρ {:g}".format).where(rows["rho"].notna(), "")
    rows = rows.assign(unit=seed, method=rows["method"].astype(str) + ratio)
    columns: dict[str, dict[str, NumberCell]] = {
        f"{noise:.0%}": compared(group, STYLE_OF_CELLS) for noise, group in rows.groupby("noise")
    }
    table = [
        {"method": method} | {noise: cells.get(method, NONE) for noise, cells in columns.items()}
        for method in rows["method"].unique()
    ]
    return pd.DataFrame(table)


def _origin(manifest: dict[str, Any]) -> str:
    """Return the sentence about the command, revision and machine behind an export."""
    places = "; ".join(
        f"{place['runs']} {'run' if place['runs'] == 1 else 'runs'} with {_place(place)}"
        for place in manifest["made with"]
    )
    return f"Made by `{_command(manifest['study'], manifest['profile'])}`: {places}."


def _command(study: str, profile: str) -> str:
    """Return the command that runs a study on a profile.

    >>> _command("rho", "mtd"), _command("rho", "laptop")
    ('make sweep-rho PROFILE=mtd DATA=folder', 'make sweep-rho PROFILE=laptop')
    """
    is_generated = profile in PROFILES and PROFILES[profile].generated
    return f"make sweep-{study} PROFILE={profile}" + ("" if is_generated else " DATA=folder")


def _place(place: dict[str, str]) -> str:
    gpus = "no GPU" if place["gpus"] == "none" else place["gpus"]
    return (
        f"revision `{place['git'][:7]}` on {place['processor']} ({place['machine']}, {gpus}), "
        f"torch {place['version.torch']}, Python {place['version.python']}"
    )


def _measurements() -> Iterator[str]:
    """Yield a section for every stored output of `make bench`, except those of other blocks."""
    for file in sorted((EXPORTS / MEASUREMENTS).glob("*.json")):
        if file.stem not in ELSEWHERE:
            yield f"### {file.stem}\n\n{_measurement(file)}"


def _measurement(file: Path) -> str:
    """Return text and table of a stored output of `make bench`, with the machine that made it."""
    record = json.loads(file.read_text(encoding="utf-8"))
    rows = pd.DataFrame(record["rows"]).astype(object)
    rows = rows.where(rows.notna(), None)
    table = rows.to_markdown(index=False, floatfmt=".3g", missingval="")
    place = _place(record["environment"])
    origin = f"Measured by `make bench ARGS={file.stem}`: {place}."
    return f"{record['about'].strip()}\n\n{table}\n\n{origin}"


def _no_measurements() -> str:
    return (
        "No output of `make bench` is stored in the repository yet. Store one with "
        '`make bench ARGS="metrics --out docs/results/bench"`, then run `make results`.'
    )


def figures() -> dict[Path, str]:
    """Draw the figures of the pages; return the SVG texts by file."""
    results = merge_single_category(read_results(EXPORTS / "rho-mtd"))
    with mpl.rc_context(STYLE):
        figure = reports.rho.draw(results)
        add_footnote(figure, short_caption(results, "all"))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return {ROOT / "docs" / "rho-mtd.svg": buffer.getvalue()}
