"""MeDS: every row of the ablation is a value, and each does what its row says."""

from dataclasses import replace

import numpy as np
import pytest

from harness.detectors import AdaptiveMemoryDetector, MemoryDetector
from harness.detectors.meds import MeDS
from harness.detectors.modes import modes
from harness.detectors.presets import paper, release
from harness.detectors.reconstruction import NetworkScorer
from harness.errors import InputError
from harness.memory import AdaptiveMemory, MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import InProcess
from harness.selection import lower_median, robust_max
from harness.training.optimizer import TrainingConfig
from harness.training.phases import ProgressiveSelection
from tests.support.dataset import NETWORK

SHORT = TrainingConfig(steps=6, batch_size=4)
FULL = MeDS(network=NETWORK, distillation=SHORT, finetuning=SHORT)


@pytest.fixture(scope="module")
def images(small):
    return small.train_images


def fit(detector, images):
    return detector.fit(images, seed=0, compute=InProcess())


def test_the_distilled_model_is_the_first_half_of_meds(images):
    distilled, full = fit(replace(FULL, finetuning=None), images), fit(FULL, images)
    assert list(distilled.history) == ["distillation"]
    first, again = distilled.history["distillation"], full.history["distillation"]
    assert all(np.array_equal(first.state[name], again.state[name]) for name in first.state)
    assert not np.array_equal(distilled.score(images), full.score(images))


def test_fine_tuning_is_led_at_first_by_the_distilled_scores(images):
    full = fit(FULL, images)
    distilled = NetworkScorer(NETWORK, {"distillation": full.history["distillation"]})
    step, first = full.history["finetuning"].selections[0]
    assert step == 0
    np.testing.assert_array_equal(first.criterion_N, robust_max(distilled.score(images)))


def test_fine_tuning_with_the_memory_has_no_distillation(images):
    detector = replace(FULL, distillation=None, start="random", criterion="memory")
    fitted = fit(detector, images)
    assert list(fitted.history) == ["finetuning"]
    _, first = fitted.history["finetuning"].selections[0]
    taught = robust_max(memory_scores(images, images, detector.memory))
    np.testing.assert_array_equal(first.criterion_N, taught)


def test_an_adaptive_memory_teaches_its_left_out_scores(images):
    adaptive = AdaptiveMemory()
    stages = {"distillation": None, "start": "random", "criterion": "memory"}
    detector = replace(FULL, adaptive=adaptive, **stages)
    fitted = fit(detector, images)
    _, first = fitted.history["finetuning"].selections[0]
    taught = robust_max(adaptive.scores_left_out(images, adaptive.factors(images)))
    np.testing.assert_array_equal(first.criterion_N, taught)
    assert detector.requirements.memories == adaptive.left_out


def together(rule, memory_NP, network_NP, factors_N):
    scaled_NP = network_NP * factors_N[:, None].astype(np.float32)
    return np.maximum(memory_NP, scaled_NP) if rule == "larger" else (memory_NP + scaled_NP) / 2


@pytest.mark.parametrize("rule", ["mean", "larger"])
@pytest.mark.parametrize(
    ("memories", "part_of_score"),
    [
        ({}, MemoryDetector(memory=FULL.memory)),
        ({"adaptive": AdaptiveMemory()}, AdaptiveMemoryDetector()),
        ({"partner": AdaptiveMemory()}, AdaptiveMemoryDetector()),
    ],
)
def test_scores_of_network_and_memory_together(images, memories, part_of_score, rule):
    alone = fit(replace(FULL, adaptive=memories.get("adaptive")), images)
    detector = replace(FULL, **memories, scores=rule)
    fitted = fit(detector, images)
    memory = fit(part_of_score, images)
    network_NP, left_out_NP = alone.score(images), memory.score_left_out()
    factors_N = np.ones(len(images))
    for c in np.unique(images.category_N) if rule == "larger" else ():
        own_N = images.category_N == c
        typical = [np.median(robust_max(each[own_N])) for each in (left_out_NP, network_NP)]
        factors_N[own_N] = typical[0] / typical[1]
    expected = together(rule, memory.score(images), network_NP, factors_N)
    np.testing.assert_array_equal(fitted.score(images), expected)
    np.testing.assert_array_equal(detector.restore(fitted.arrays).score(images), expected)
    left_out = together(rule, left_out_NP, network_NP, factors_N)
    np.testing.assert_array_equal(fitted.score_left_out(), left_out)
    assert list(fitted.history) == ["distillation", "finetuning"]


def test_a_partner_needs_the_distance_of_the_network_and_a_score_that_it_joins():
    with pytest.raises(InputError, match="no effect on the scores of the network alone"):
        replace(FULL, partner=AdaptiveMemory())
    with pytest.raises(InputError, match="Set the same distance for both"):
        MeDS(network=Hvq(), memory=EUCLIDEAN, partner=AdaptiveMemory(), scores="larger")


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({}, "MeDS"),
        ({"finetuning": None}, "distilled model"),
        ({"scores": "mean"}, "MeDS + memory, mean"),
        ({"finetuning": None, "scores": "larger"}, "distilled model + memory"),
        ({"partner": AdaptiveMemory(), "scores": "larger"}, "MeDS + adaptive memory"),
    ],
)
def test_the_title_names_stages_and_memory(settings, title):
    assert replace(FULL, **settings).title == title


def test_a_mean_needs_scores_of_one_unit():
    with pytest.raises(InputError, match="another unit"):
        MeDS(network=Hvq(), memory=EUCLIDEAN, scores="mean")


def test_every_mode_has_a_threshold_of_its_own(images):
    rule = ProgressiveSelection(modes=3)
    fitted = fit(replace(FULL, selection=rule), images)
    _, first = fitted.history["finetuning"].selections[0]
    mode_N = modes(images, 3, seed=0)
    for mode in np.unique(mode_N):
        own_N = mode_N == mode
        lowest = first.criterion_N[own_N] < lower_median(first.criterion_N[own_N])
        if lowest.any():
            np.testing.assert_array_equal(first.selected_N[own_N], lowest)
        else:
            assert first.selected_N[own_N].any()
    assert set(first.degenerate) <= set(images.category_N)


def test_a_random_start_forgets_the_weights_and_keeps_the_criterion(images):
    still = replace(SHORT, learning_rate=0.0, final_learning_rate=0.0)
    detector = replace(FULL, finetuning=still)
    kept, forgot = (fit(replace(detector, start=s), images) for s in ("distilled", "random"))
    first, second = (f.history["finetuning"].selections[0][1] for f in (kept, forgot))
    np.testing.assert_array_equal(first.criterion_N, second.criterion_N)
    taught = kept.history["distillation"].state
    assert all(np.array_equal(kept.state[name], taught[name]) for name in taught)
    assert not all(np.array_equal(forgot.state[name], taught[name]) for name in taught)


@pytest.mark.parametrize("discrepancy", ["mse", "l2norm", "l1"])
def test_every_discrepancy_teaches(images, discrepancy):
    longer = replace(SHORT, steps=60, batch_size=8)
    detector = replace(FULL, distillation=longer, finetuning=None, discrepancy=discrepancy)
    losses = fit(detector, images).history["distillation"].losses_T
    assert losses[-5:].mean() < 0.3 * losses[0]


EUCLIDEAN = MemoryEnsemble(distance="euclidean")
ADAMW = TrainingConfig(
    steps=6,
    batch_size=4,
    learning_rate=1e-4,
    final_learning_rate=1e-5,
    optimizer="adamw",
    schedule="step",
)


@pytest.mark.parametrize(
    "detector",
    [
        replace(FULL, network=InpFormer(width=16, depth=2, heads=2, prototypes=3)),
        MeDS(
            network=Hvq(width=16, depth=2, heads=2, hidden=24, codes=8),
            memory=EUCLIDEAN,
            distillation=ADAMW,
            finetuning=ADAMW,
        ),
        replace(FULL, network=replace(NETWORK, distance="euclidean"), memory=EUCLIDEAN),
    ],
    ids=["inp_former", "hvq", "euclidean"],
)
def test_meds_trains_every_network_repeatably(images, detector):
    first, second = fit(detector, images), fit(detector, images)
    assert list(first.history) == ["distillation", "finetuning"]
    scores = first.score(images)
    assert scores.shape == (len(images), 64)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, second.score(images))


def test_the_first_pass_may_train_on_everything(images):
    rule = ProgressiveSelection(first_pass="all")
    detector = replace(FULL, selection=rule, finetuning=replace(SHORT, steps=12))
    selections = fit(detector, images).history["finetuning"].selections
    assert selections[0][1].selected_N.all()
    assert not selections[-1][1].selected_N.all()


def test_the_letter_of_equation_ten_lowers_scores(images):
    longer = replace(SHORT, steps=40, batch_size=8)
    detector = replace(FULL, finetuning=longer, objective="literal")
    fitted = fit(detector, images)
    before = NetworkScorer(NETWORK, {"distillation": fitted.history["distillation"]})
    assert fitted.score(images).mean() < 0.8 * before.score(images).mean()


@pytest.mark.parametrize("network", [Dinomaly(), InpFormer()])
def test_paper_and_release_differ_where_they_are_known_to(network):
    theirs, released = paper(network), release(network)
    assert (theirs.memory.distance, released.memory.distance) == ("euclidean", "cosine")
    assert (theirs.discrepancy, released.discrepancy) == ("l2norm", "mse")
    assert (theirs.selection.critical_value, released.selection.critical_value) == (1, 3)
    assert (theirs.selection.rounding, released.selection.rounding) == ("up", "down")
    for preset in (theirs, released):
        assert preset.memory.size == 100
        assert preset.distillation == preset.finetuning
        assert preset.distillation.learning_rate == (2e-3 if network == Dinomaly() else 1e-3)
        assert getattr(preset.network, "discard", 0.5) == 0.5


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"distillation": None, "finetuning": None}, "memory alone"),
        ({"distillation": None}, "no distilled network"),
        ({"distillation": None, "start": "random"}, "no distilled network"),
        ({"memory": EUCLIDEAN}, "same distance for both"),
        ({"network": Hvq()}, "same distance for both"),
        ({"network": Hvq(), "memory": EUCLIDEAN, "adaptive": AdaptiveMemory()}, "same distance"),
    ],
)
def test_stages_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(InputError, match=text):
        replace(FULL, **changes)
