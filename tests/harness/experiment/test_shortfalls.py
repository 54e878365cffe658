"""Where an experiment does less than its settings request, it is counted with the result."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import MemoryDetector
from harness.experiment import run_prepared
from harness.experiment.shortfalls import shortfalls
from harness.memory import MemoryEnsemble
from harness.memory.banks import draw_banks
from harness.metrics.names import MEAN
from harness.noise import Noise
from harness.runtime.compute import InProcess
from harness.selection import select


def counted(small, detector, **changes):
    """Shortfalls of a run, by name and category."""
    experiment = small.experiment(detector, **changes)
    result = run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())
    rows = result.metrics[result.metrics["readout"] == "shortfall"]
    return rows.set_index(["metric", "category"])["value"].to_dict()


def test_an_ordinary_run_has_no_shortfall(small):
    assert counted(small, MemoryDetector(), noise=Noise(ratio=0.3)) == {}
    assert counted(small, PatchCore()) == {}


@given(
    images=st.integers(1, 12),
    ratio=st.sampled_from([0.1, 0.3, 0.6, 1.0]),
    size=st.integers(1, 5),
    replacement=st.booleans(),
    seed=st.integers(0, 99),
)
def test_images_without_a_bank_are_counted_one_by_one(images, ratio, size, replacement, seed):
    memory = MemoryEnsemble(
        ratio=ratio, size=size, replacement=replacement, seed=seed, exclude_self=True
    )
    settings = {"draws": memory.draws(images), "size": size, "seed": seed}
    banks_Bm = draw_banks(images, replacement=replacement, **settings)
    without = [image for image in range(images) if (banks_Bm == image).any(axis=1).all()]
    assert memory.empty_ensembles(images) == len(without)
    assert replace(memory, exclude_self=False).empty_ensembles(images) == 0


def test_training_images_without_a_bank_are_counted(small):
    whole = MemoryEnsemble(ratio=1.0, size=2, replacement=False, exclude_self=True)
    found = counted(small, MemoryDetector(memory=whole))
    categories = small.prepared.samples["category"].unique()
    assert found == {("empty_ensembles", category): 8.0 for category in categories}


def test_a_filter_that_leaves_less_than_the_coreset_is_counted(small):
    """Each category has 8 images of 8 x 8 patches. A coreset of .9 needs 460 patches, but the filter leaves 256."""
    found = counted(small, SoftPatch(coreset_ratio=0.9, threshold=0.5))
    patches = [count for (name, _), count in found.items() if name == "coreset_patches"]
    assert patches == [204.0] * small.prepared.samples["category"].nunique()


def test_neighbours_that_few_images_do_not_have_are_counted(small):
    found = counted(small, SoftPatch(lof_k=10, scope="all"))
    assert found == {}  # 24 images of three categories have 10 neighbours
    found = counted(small, SoftPatch(lof_k=10))
    assert set(found.values()) == {3.0}  # 8 images have 7
    found = counted(small, SoftPatch(lof_k=28, scope="all"))
    assert found == {("lof_neighbours", MEAN): 5.0}


def test_passes_without_a_threshold_are_counted_by_category(small):
    equal_N, spread_N = np.ones(4), np.arange(4.0)
    category_N = np.repeat([0, 1], 4)
    scores_N = np.concatenate([equal_N, spread_N])
    selection = select(scores_N, scores_N, category_N, progress=0.5)
    trained = SimpleNamespace(selections=[(0, selection), (5, selection)])
    scorer = SimpleNamespace(history={"finetuning": trained})
    train = pd.DataFrame({"category": ["bolt"] * 4 + ["nut"] * 4})
    test = pd.DataFrame({"category": ["bolt"], "defect": ["good"], "mask": [None]})
    found = shortfalls(
        small.experiment(MemoryDetector()), SimpleNamespace(train=train, test=test), scorer
    )
    assert found.values.tolist() == [["shortfall", "bolt", "passes_without_threshold", 2.0]]


def test_defects_without_a_mask_are_counted_where_others_have_one(small):
    train = pd.DataFrame({"category": ["a", "b"]})
    rows = [("a", "crack", "m.png"), ("a", "crack", None), ("a", "good", None), ("b", "dent", None)]
    test = pd.DataFrame(rows, columns=["category", "defect", "mask"])
    split = SimpleNamespace(train=train, test=test)
    found = shortfalls(small.experiment(MemoryDetector()), split, SimpleNamespace(history={}))
    assert found.values.tolist() == [["shortfall", "a", "defects_without_mask", 1.0]]
