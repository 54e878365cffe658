"""EfficientAD and AD2: images that calibrate the maps, the pixels they read, and the teacher's answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from baselines.presets import efficient_ad
from baselines.student_teacher import training
from baselines.student_teacher.networks import map_quantiles, restored
from baselines.student_teacher.pixels import read_pixels
from harness.anomaly_maps import anomaly_maps
from harness.errors import InputError
from harness.experiment import Experiment, run
from harness.experiment.preparation import training_images
from harness.features import CalibratedImageSet, Encoder
from harness.features.pdn import standardised
from harness.noise import Noise, contaminate
from harness.runtime.compute import InProcess
from sweeps.profiles import PROFILES
from tests.conftest import ENCODER, SMALL

SHORT = EfficientAD(teacher="random", image_size=64, width=16, steps=3, clean_validation=True)


@pytest.fixture
def samples(small):
    """Sample table in which some good test images are the split `validation`."""
    samples = small.prepared.samples.copy()
    is_good = (samples["split"] == "test") & (samples["defect"] == "good")
    moved = samples[is_good].groupby("category").head(2).index
    samples.loc[moved, "split"] = "validation"
    return samples


@pytest.mark.parametrize("detector", [SHORT, AD2(student=replace(SHORT, batch_size=2))])
def test_the_split_validation_calibrates_and_all_training_images_are_trained_on(
    small, samples, detector
):
    """By hand: mean of the teacher over every training image, quantiles of the maps over the validation images."""
    train = contaminate(samples, Noise(ratio=0.2)).train
    images = training_images(small.prepared, train, samples, detector)
    trained = detector.fit(images, seed=0, compute=InProcess()).history["training 0"]
    network = restored(trained.state, image_size=64)
    category, calibration = images.categories[0], images.calibration.categories[0]
    pixels = read_pixels(category, np.arange(len(category.rows_N)), 64)
    mean_K = network.teacher(standardised(pixels)).mean(dim=(0, 2, 3))
    torch.testing.assert_close(network.mean_1K11.flatten(), mean_K, rtol=1e-4, atol=1e-5)
    maps = network.maps(read_pixels(calibration, np.arange(2), 64)).detach().numpy()
    np.testing.assert_allclose(network.quantiles_22.numpy(), map_quantiles(maps), rtol=1e-3)
    of_first = samples[samples["category"] == samples["category"].min()]
    expected = of_first.loc[of_first["split"] == "validation", "row"]
    assert calibration.rows_N.tolist() == expected.tolist()
    assert not set(calibration.rows_N) & set(category.rows_N)


def test_only_a_detector_that_asks_gets_images_of_the_split_validation(small, samples):
    train = contaminate(samples, Noise()).train
    usual = replace(SHORT, clean_validation=False)
    assert type(training_images(small.prepared, train, samples, SHORT)) is CalibratedImageSet
    plain = training_images(small.prepared, train, samples, usual)
    assert not isinstance(plain, CalibratedImageSet)


def test_a_data_set_without_the_split_validation_is_refused(small):
    samples = small.prepared.samples
    train = contaminate(samples, Noise()).train
    with pytest.raises(InputError, match="has no such images"):
        training_images(small.prepared, train, samples, SHORT)
    with pytest.raises(InputError, match="need the images of the split validation"):
        SHORT.fit(small.train_images, seed=0, compute=InProcess())


def test_the_profile_of_loco_alone_calibrates_on_the_split_validation():
    for name, profile in PROFILES.items():
        students = (profile.system(EfficientAD).detector, profile.system(AD2).detector.student)
        assert {student.clean_validation for student in students} == {name == "loco"}


def test_an_experiment_that_reads_pixels_alone_stores_no_features_and_has_the_same_scores(
    small, tmp_path
):
    detector = replace(SHORT, clean_validation=False, steps=1)
    experiment = Experiment(dataset=SMALL, encoder=ENCODER, detector=detector)
    assert experiment.stored == replace(ENCODER, features=False)
    found = run(experiment, data=small.data, cache=tmp_path)
    assert not list(tmp_path.glob("features/*/target-*.npy"))
    scorer = detector.fit(small.train_images, seed=0, compute=InProcess())
    split = contaminate(small.prepared.samples, Noise())
    scores_NP = scorer.score(small.prepared.images(split.test))
    maps = anomaly_maps(scores_NP, input_size=ENCODER.input_size, rule=detector.maps)
    expected = detector.maps.image_scores(scores_NP, maps)
    np.testing.assert_array_equal(found.scores["score"], expected)


def test_the_teacher_answers_single_images_once_with_the_same_bits(small, monkeypatch):
    images = small.train_images
    settings = replace(SHORT, clean_validation=False, steps=40)
    kept = settings.fit(images, seed=0, compute=InProcess()).history["training 0"]
    monkeypatch.setattr(training, "KEPT", 0)
    asked = settings.fit(images, seed=0, compute=InProcess()).history["training 0"]
    np.testing.assert_array_equal(kept.losses_T, asked.losses_T)
    assert kept.state.keys() == asked.state.keys()
    assert all(np.array_equal(kept.state[name], asked.state[name]) for name in kept.state)


def test_an_image_scores_the_maximum_of_its_map_at_the_evaluation_size():
    """At 256 pixels, the nearest sample is 1 / 8 of a patch beside the peak; at 1,024 pixels, 1 / 32."""
    preset = efficient_ad()
    assert (preset.evaluation.size, preset.detector.maps.image) == (256, "map")
    scores_NP = np.zeros((1, 64, 64))
    scores_NP[0, 30, 30] = 1
    for size, nearest in ((256, 1 - 1 / 8), (1024, 1 - 1 / 32)):
        maps = anomaly_maps(
            scores_NP.reshape(1, -1), input_size=size, size=size, rule=preset.detector.maps
        )
        found = preset.detector.maps.image_scores(scores_NP.reshape(1, -1), maps)
        assert found[0] == pytest.approx(nearest**2)


def test_an_image_is_resized_with_antialiasing_unlike_in_the_release_of_inreach():
    """By hand, stripes of 0, 255, 255, 0: without antialiasing, the middle two columns alone count."""
    from PIL import Image

    stripes = np.tile(np.array([0, 255, 255, 0], dtype=np.uint8), 16)
    image = Image.fromarray(np.tile(stripes[None, :, None], (64, 1, 3)))
    ours = Encoder(image_size=16).preprocess(image)[0]
    plain = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float(), 16, mode="bilinear"
    )
    assert (plain == 255).all()
    assert np.abs(ours[2:-2, 2:-2].astype(float) - 255).min() > 60
