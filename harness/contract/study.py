"""Contracts of studies, reports and protocols of contamination."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from harness.config.serialization import from_dict, to_dict
from harness.experiment import Experiment
from harness.noise import Noise
from harness.noise.contamination import Protocol

PARTS = {"TITLE": str, "CAPTION": str}
"""Texts of a report, with their classes."""
FUNCTIONS = ("draw", "table")
"""Functions of a report."""


def breaches_of_study(study: ModuleType, profile: Any) -> Iterator[str]:
    """Yield what a study breaks on a profile (`sweeps.profiles.contract.Profile`); no experiment runs."""
    if not (study.__doc__ or "").strip():
        yield "Its module has no docstring. The first line describes the study in lists."
    if not hasattr(study, "experiments") and not hasattr(study, "search"):
        yield "Its module has neither a function experiments(profile) nor search(profile, labelled)."
        return
    found, again = _experiments(study, profile), _experiments(study, profile)
    if not found or not all(isinstance(each, Experiment) for each in found):
        yield "experiments(profile) must return a list of harness.experiment.Experiment with at least one element."
        return
    if [each.key for each in found] != [each.key for each in again]:
        yield "experiments(profile) returns other experiments when it is called again, so no study could resume."
    if len({each.dataset for each in found}) > 1:
        yield "Its experiments have several datasets, but a study has one folder of data."
    for experiment in found:
        restored = from_dict(json.loads(json.dumps(to_dict(experiment))))
        if restored.key != experiment.key:
            yield f"The experiment {experiment.name} does not come back from its record, in which a run stores it."
            return


def _experiments(study: ModuleType, profile: Any) -> Any:
    """Return the experiments of a study, of a search those that no result chooses."""
    if hasattr(study, "search"):
        return study.search(profile, ()).known
    return study.experiments(profile)


def breaches_of_report(report: ModuleType) -> Iterator[str]:
    """Yield what a report breaks; parts that it leaves out have defaults."""
    if not any(hasattr(report, part) for part in (*PARTS, *FUNCTIONS)):
        yield f"Its module defines none of {', '.join((*PARTS, *FUNCTIONS))}."
    for name, kind in PARTS.items():
        if not isinstance(getattr(report, name, kind()), kind):
            yield f"{name} must be a text."
    for name in FUNCTIONS:
        if not callable(getattr(report, name, print)):
            yield f"{name} must be a function of the results."


def breaches_of_protocol(name: str, protocol: Any) -> Iterator[str]:
    """Yield what a protocol of contamination breaks."""
    if not isinstance(protocol, Protocol):
        yield "It must be a harness.noise.contamination.Protocol."
        return
    counts = [protocol.wanted(100, ratio) for ratio in (0.0, 0.1, 0.2, 0.4)]
    if counts[0] != 0 or counts != sorted(counts):
        yield f"It injects {counts} images per 100 at noise 0, 10, 20 and 40 %; a larger ratio must inject more."
    if Noise(ratio=0.1, protocol=name).rule != protocol:
        yield "Noise(protocol=NAME) does not have its rules."
