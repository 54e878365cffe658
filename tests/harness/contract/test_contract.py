"""Contracts: our own components keep them, and components that break them are found, above all by labels."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from baselines.musc import MuSc
from baselines.patchcore import PatchCore
from harness.cluster.by_value import as_sent_by_value
from harness.contract import breaches_of_detector, breaches_of_network, draw_worlds
from harness.contract.study import breaches_of_protocol, breaches_of_report, breaches_of_study
from harness.contract.worlds import TABLE, ListedImages
from harness.datasets import GOOD
from harness.detectors import MemoryDetector
from harness.networks.dinomaly import Dinomaly
from harness.noise.contamination import PROTOCOLS
from reports import rho as report
from sweeps import rho as study
from sweeps.profiles import PROFILES
from tests.harness.experiment.test_experiment import DETECTORS


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    return draw_worlds(tmp_path_factory.mktemp("worlds"))


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_every_detector_keeps_the_contract(worlds, detector):
    assert list(breaches_of_detector(detector, worlds)) == []


def test_the_false_world_has_the_same_images_and_splits_under_other_labels_and_names(worlds):
    prepared = {
        world: worlds.prepared(worlds.experiment(MemoryDetector()), world).samples
        for world in ("true", "false")
    }
    true, false = prepared["true"], prepared["false"]
    assert list(true["digest"]) == list(false["digest"])
    assert list(true["split"]) == list(false["split"])
    assert not set(true["image"]) & set(false["image"])
    assert not set(true["category"]) & set(false["category"])
    of_training = true["split"] == "train"
    injected = true["defect"] != GOOD
    assert (of_training & injected).sum() == 9
    assert (false.loc[of_training & injected, "defect"] == GOOD).all()
    masks = true["mask"].notna() != false["mask"].notna()
    assert masks.sum() > 20


def test_a_class_stays_as_it_was_when_its_component_is_sent_by_value():
    """A field without a default is known by the identity of `dataclasses.MISSING`, of which a pickle has a copy."""
    before = dict(vars(PatchCore))
    as_sent_by_value(PatchCore(coreset_ratio=0.5))
    assert all(vars(PatchCore)[name] is value for name, value in before.items())


def frames():
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def labels_of_frames(images):
    """Labels of the training images, from the variables of the functions that call `fit`."""
    for frame in frames():
        split = frame.f_locals.get("split")
        if split is not None and hasattr(split, "injected_N"):
            return split.injected_N
    raise AssertionError("no labels in sight")


def labels_of_paths(images):
    """Labels of the training images, from the paths that the index of the cache has."""
    index = images.categories[0].features.folder.parents[1] / "images.json"
    file = next(iter(json.loads(index.read_text())["files"]))
    (folder,) = (each for each in Path(file.partition("|")[0]).parents if (each / TABLE).is_file())
    table = ListedImages().samples(folder)
    return (table.loc[table["split"] == "train", "defect"] != GOOD).to_numpy()


@dataclass(frozen=True, kw_only=True)
class Peeks(PatchCore):
    """PatchCore without the training images that a label calls anomalous."""

    how: str = "frames"
    name = "peeks"

    def fit(self, images, *, seed, compute):
        find = {"frames": labels_of_frames, "paths": labels_of_paths}[self.how]
        normal_N = ~find(images)
        first, parts = 0, []
        for category in images.categories:
            own = normal_N[first : first + len(category.rows_N)]
            parts.append(replace(category, rows_N=category.rows_N[own]))
            first += len(own)
        return super().fit(replace(images, categories=tuple(parts)), seed=seed, compute=compute)


@pytest.mark.parametrize("how", ["frames", "paths"])
def test_a_detector_that_looks_at_labels_breaks_the_contract(worlds, how):
    breaches = breaches_of_detector(Peeks(how=how), worlds)
    start = "Its scores depend on labels, masks or names of images"
    assert len([each for each in breaches if each.startswith(start)]) == 1


@dataclass(frozen=True, kw_only=True)
class Faulty(PatchCore):
    """PatchCore whose scores have a fault."""

    fault: str

    def fit(self, images, *, seed, compute):
        return FaultyScorer(super().fit(images, seed=seed, compute=compute), self.fault)


class FaultyScorer:
    """A scorer that spoils the scores of another one."""

    def __init__(self, scorer, fault):
        self.scorer, self.fault, self.history = scorer, fault, {}

    @property
    def arrays(self):
        arrays = dict(self.scorer.arrays)
        return {**arrays, "x": np.array([None])} if self.fault == "objects" else arrays

    def score(self, images):
        scores = self.scorer.score(images)
        if self.fault == "nan":
            scores[0, 0] = np.nan
        if self.fault == "random":
            scores = scores + np.random.default_rng().random(scores.shape)
        if self.fault == "restored":
            scores = scores + 1
        if self.fault == "beside":
            scores = scores - scores.mean()
        return scores[:, :-1] if self.fault == "shape" else scores


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "must be finite"),
        ("random", "differ from fit to fit"),
        ("restored", "Restored from its arrays"),
        ("beside", "depend on the images that are scored with it"),
        ("objects", "cannot be stored as arrays"),
        ("shape", "not that of images x patches"),
    ],
)
def test_a_faulty_detector_is_found(worlds, fault, message):
    breaches = list(breaches_of_detector(Faulty(fault=fault), worlds))
    assert any(message in breach for breach in breaches), breaches


@dataclass(frozen=True, kw_only=True)
class Concealed(MuSc):
    """A transductive detector whose title conceals it."""

    title = "MuSc"


def test_a_transductive_detector_must_be_named_so(worlds):
    found = list(breaches_of_detector(Concealed(), worlds))
    assert any("its title must contain this word" in breach for breach in found), found


class Thawed:
    """A detector that is no frozen dataclass, and has no name."""


def test_a_detector_that_is_no_value_is_found(worlds):
    breaches = " ".join(breaches_of_detector(Thawed(), worlds))
    for part in ("name must be", "no title", "maps must be", "requirements must", "no frozen"):
        assert part in breaches


@dataclass(frozen=True, kw_only=True)
class Negative(Dinomaly):
    """A network that scores below zero."""

    def build(self, inputs):
        network = super().build(inputs)
        score_map = network.score_map
        network.score_map = lambda rebuilt: score_map(rebuilt) - 1
        return network


def test_a_faulty_network_is_found():
    settings = {"width": 16, "depth": 4, "heads": 2}
    assert list(breaches_of_network(Dinomaly(**settings))) == []
    breaches = list(breaches_of_network(Negative(**settings)))
    assert any("is negative" in breach for breach in breaches)


def test_our_studies_reports_and_protocols_keep_the_contract():
    assert list(breaches_of_study(study, PROFILES["smoke"])) == []
    assert list(breaches_of_report(report)) == []
    for name, protocol in PROTOCOLS.items():
        assert list(breaches_of_protocol(name, protocol)) == []


def test_faulty_studies_reports_and_protocols_are_found():
    empty = type(sys)("empty")
    assert len([*breaches_of_study(empty, PROFILES["smoke"])]) == 2
    empty.experiments = lambda profile: []
    assert "at least one" in " ".join(breaches_of_study(empty, PROFILES["smoke"]))
    assert "defines none" in " ".join(breaches_of_report(empty))
    empty.TITLE, empty.draw = 3, 4
    assert len([*breaches_of_report(empty)]) == 2
    assert "Protocol" in " ".join(breaches_of_protocol("x", "no protocol"))
