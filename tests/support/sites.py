"""Studies that nobody ran, for sites of any size, and the addresses in a page."""

import re
import zlib

import pandas as pd

from reports.site.sources import Study

ADDRESS = re.compile(r'(?:href|src)="([^"]*)"')
NOISES = (0.0, 0.2, 0.4)


def linked(text):
    """Return the addresses that a page links to or loads, without data in place of an address and its own parts."""
    return [each for each in ADDRESS.findall(text) if not each.startswith(("data:", "#"))]


def synthetic(
    *,
    names,
    seeds=2,
    noises=NOISES,
    category="c0",
    categories=1,
    study="synthetic",
    prefix="a",
    images=0,
):
    """A study of methods by name, with pseudo-random values; equal arguments give equal studies.

    Args:
        names: Titles of the methods.
        seeds: Number of training seeds.
        noises: Noise ratios.
        category: Name of the first category.
        categories: Number of categories.
        study: Name of the study.
        prefix: Start of the ids of runs.
        images: Number of scored test images of a run; 0 for none.
    """
    settings, values = [], []
    known = [category, *(f"c{i}" for i in range(1, categories))]
    cells = [(name, noise, seed) for name in names for noise in noises for seed in range(seeds)]
    for number, (name, noise, seed) in enumerate(cells):
        run_id = f"{prefix}{number}"
        settings.append(
            {
                "run_id": run_id,
                "key": f"{name}/{noise}/{seed}",
                "milliseconds": 2.0,
                "dataset": "Drawn",
                "detector": "Method",
                "detector.title": name,
                "noise.ratio": str(noise),
                "noise.seed": "0",
                "seed": str(seed),
            }
        )
        values += _values(run_id, name, noise, seed, known)
    table = pd.DataFrame(settings)
    runs = table[["run_id", "key"]].assign(
        name=table["detector.title"],
        status="FINISHED",
        failure="",
        seconds=1.0,
        data="d0",
        git="f00",
    )
    frame = pd.DataFrame(values, columns=["run_id", "readout", "metric", "category", "value"])
    scores = _scores(known, images)
    return Study(
        name=study,
        profile="small",
        source="nowhere",
        settings=table,
        values=frame,
        runs=runs,
        scores=lambda run_id: scores.assign(run_id=run_id, key=run_id),
    )


def _values(run_id, name, noise, seed, categories):
    readouts = ("all", "unseen") if noise else ("all",)
    metrics = ("image_auroc", "image_ap", "pixel_ap", "pixel_aupro")
    for readout in readouts:
        for metric in metrics:
            of = [_value(name, noise, seed, readout, metric, each) for each in categories]
            yield from (
                (run_id, readout, metric, each, value)
                for each, value in zip(categories, of, strict=True)
            )
            yield run_id, readout, metric, "mean", sum(of) / len(of)
    for each in categories:
        yield run_id, "data", "contamination", each, noise / (1 + noise)


def _value(*parts):
    return 0.5 + zlib.crc32(repr(parts).encode()) / 2**33


def _scores(categories, images):
    rows = [
        (f"{category}/{i}.png", category, i % 2 == 0, _value(category, i))
        for category in categories
        for i in range(images // len(categories))
    ]
    return pd.DataFrame(rows, columns=["image", "category", "anomalous", "score"])
