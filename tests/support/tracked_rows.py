"""Tracked rows of experiments that nobody ran, in the form in which the tracker returns them."""

import math
import zlib

import pandas as pd

from harness.evaluation.label_ranking import AUPRC, DEPTH
from harness.evaluation.memory_agreement import METRIC as AGREEMENT
from reports import theorem

IMAGE = ("image_auroc", "image_ap", "image_f1max")
PIXEL = (
    "pixel_auroc",
    "pixel_ap",
    "pixel_f1max",
    "pixel_aupro",
    "pixel_aupro_dinomaly",
    "pixel_auroc_meds",
)
DECISIONS = tuple(
    f"{measure}.{threshold}"
    for threshold in ("quantile_95.left_out", "f1max.labels")
    for measure in ("threshold", "recall", "false_alarm_rate", "f1")
)
CONTAMINATION = 0.17


def tracked_rows(experiments, *, categories=("a",), masked=None, labelled=True, nan=True):
    """Rows of all metrics of the experiments, with parameters as text and pseudo-random values.

    Args:
        experiments: Experiments whose results are wanted.
        categories: Categories of the data; an experiment with own categories has those.
        masked: Categories whose images have masks; None for all of them.
        labelled: False if no image metric can be computed, because one of the two classes is not there.
        nan: True if the tracker has NaN for what cannot be computed; False if it has no such row.
    """
    rows = []
    masked = categories if masked is None else masked
    for number, experiment in enumerate(experiments):
        shared = {name: str(value) for name, value in experiment.params.items()}
        key = experiment.key  # a digest, too slow to compute for each value
        shared |= {"run_id": f"run{number}", "key": key, "milliseconds": 2.0}
        own = experiment.categories or categories
        values = _values(experiment, key, own, masked, labelled)
        rows += [
            {**shared, "readout": readout, "metric": metric, "category": category, "value": value}
            for (readout, metric, category), value in values.items()
            if nan or not math.isnan(value)
        ]
    return pd.DataFrame(rows)


def _values(experiment, key, categories, masked, labelled):
    values = {}
    noisy = experiment.noise.ratio > 0
    for readout in ("all", "unseen") if noisy else ("all",):
        for metric in (*IMAGE, *PIXEL):
            known = set(masked if metric in PIXEL else categories) if labelled else set()
            _add(values, key, readout, metric, categories, known)
        for metric in DECISIONS:
            known = set(categories) if labelled else set()
            _add(values, key, readout, metric, categories, known)
    for readout, metrics, known in _of_training(experiment, categories, masked):
        for metric in metrics:
            _add(values, key, readout, metric, categories, known)
    for category in categories:
        if labelled:
            for metric in ("images", "seen", "auroc", "recall.quantile_95.left_out"):
                values["defect", metric, f"{category}/hole"] = _value(key, metric)
        values["data", "contamination", category] = CONTAMINATION * noisy
        values["data", "unseen", category] = 30.0
        values["data", "injected", category] = 5.0 * noisy
    return values


def _of_training(experiment, categories, masked):
    noisy, evaluation = experiment.noise.ratio > 0, experiment.evaluation
    if evaluation.agreement:
        yield "training", [AGREEMENT], set(categories)
    if evaluation.ranking and noisy:
        yield "training", [AUPRC, DEPTH], set(categories)
    if evaluation.training and noisy and masked:
        shares = [f"{group}_patches_{cell:02}" for group in theorem.GROUPS for cell in range(4)]
        yield "training", [*theorem.COLUMNS, "largest_score", *shares], set(masked)


def _add(values, key, readout, metric, categories, known):
    """Add a value per category, NaN where it is not known, and their mean as the harness computes it."""
    of = {
        name: _value(key, readout, metric, name) if name in known else math.nan
        for name in categories
    }
    if readout == "training":  # the harness writes no row for what is not there
        of = {name: value for name, value in of.items() if name in known}
    values |= {(readout, metric, name): value for name, value in of.items()}
    there = [value for value in of.values() if not math.isnan(value)]
    values[readout, metric, "mean"] = sum(there) / len(there) if there else math.nan


def _value(*parts):
    return 0.5 + zlib.crc32("/".join(parts).encode()) / 2**33
