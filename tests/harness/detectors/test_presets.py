"""Presets: their differences from the paper and from its release, by the numbers of the differential check."""

import numpy as np
import pytest

from harness.anomaly_maps import anomaly_maps
from harness.datasets import training_images
from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors import ReconstructionDetector
from harness.detectors.meds import MeDS
from harness.detectors.presets import (
    hvq,
    inp_former,
    paper,
    release,
    release_memory,
    release_scripts,
)
from harness.networks.dinomaly import Dinomaly
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import InProcess
from harness.selection import select
from harness.training.optimizer import TrainingConfig
from tests.support.dataset import NETWORK

CLEAN = training_images(MVTecAD())
CONTAMINATED = 4796
"""Training images of MVTec AD at 40 % noise, by the protocol `meds`."""


def steps(training, images):
    return training.over(images).steps


def test_a_stage_on_inp_former_has_the_epochs_of_the_paper():
    meds = paper(InpFormer(), images=CLEAN)
    for stage in (meds.distillation, meds.finetuning):
        assert (steps(stage, CLEAN), steps(stage, CONTAMINATED)) == (22_600, 29_900)
        assert stage.learning_rate == 1e-3
    plain = inp_former(CLEAN).plain.training
    assert (steps(plain, CLEAN), steps(plain, CONTAMINATED)) == (45_200, 59_800)


@pytest.mark.parametrize(
    "meds", [paper(Dinomaly()), release(Dinomaly()), release(InpFormer())], ids=str
)
def test_all_other_stages_have_ten_thousand_steps(meds):
    for images in (CLEAN, CONTAMINATED):
        assert steps(meds.distillation, images) == steps(meds.finetuning, images) == 10_000


def test_networks_train_for_the_epochs_of_their_training_images(small):
    """Twice as many images as the settings count for are twice as many steps."""
    images = small.train_images
    training = TrainingConfig(steps=3, batch_size=4, images=len(images) // 2 // 4 * 4)
    expected = round(3 * (len(images) // 4) / (training.images // 4))
    assert expected > 3
    plain = ReconstructionDetector(network=NETWORK, training=training)
    meds = MeDS(network=NETWORK, distillation=training, finetuning=training)
    for detector in (plain, meds):
        fitted = detector.fit(images, seed=0, compute=InProcess())
        assert {len(phase.losses_T) for phase in fitted.history.values()} == {expected}


def test_the_shell_scripts_differ_from_the_command_line_defaults_in_two_settings():
    scripts, defaults = release_scripts(InpFormer()), release(InpFormer())
    assert (scripts.discrepancy, scripts.selection.critical_value) == ("l1", 1)
    assert (defaults.discrepancy, defaults.selection.critical_value) == ("mse", 3)
    assert scripts.selection.rounding == defaults.selection.rounding == "down"


@pytest.mark.parametrize(("ratio", "percent"), [(0.01, 1), (0.1, 10), (1.0, 100)])
def test_the_released_memory_scores_have_fixed_banks_and_a_share_of_the_map(ratio, percent):
    preset = release_memory(ratio)
    memory = preset.detector.memory
    assert [memory.draws(images) for images in (209, 391)] == [21, 40]
    assert memory.size == 100
    scores = np.random.default_rng(0).random((1, 28 * 28))
    maps = anomaly_maps(scores, input_size=392, rule=preset.maps)
    highest = np.sort(maps.ravel())[::-1][: 65_536 * percent // 100]
    assert preset.maps.image_scores(scores, maps)[0] == pytest.approx(highest.mean(), rel=1e-6)
    assert preset.mask_rule == "dinomaly"


def test_hvq_distils_by_the_papers_norm_and_is_scored_as_by_its_authors():
    preset = hvq(CLEAN)
    assert preset.meds.discrepancy == paper(Dinomaly()).discrepancy == "l2norm"
    assert (preset.maps.image, preset.maps.radius) == ("window", 0)
    assert steps(preset.plain.training, CLEAN) == 45_200


def test_scores_without_spread_select_the_lower_half_where_the_release_may_select_nothing():
    scores = np.array([1.0, 1.0, 1.0, 2.0])
    found = select(scores, scores, np.zeros(4, int), progress=1, critical_value=3)
    assert not (scores < found.threshold_N).any()
    assert found.selected_N.tolist() == [True, True, False, False]
    assert found.degenerate == (0,)
