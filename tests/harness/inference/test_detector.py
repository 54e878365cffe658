"""Predictions: kinds of images, thresholds, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from harness.errors import InputError, UsageError
from harness.inference import load
from harness.inference.thresholds import label_free_thresholds


@pytest.fixture(scope="module")
def detector(bricks):
    return load(bricks.folder)


@pytest.fixture
def file(bricks):
    return sorted(bricks.new.iterdir())[0]


def test_a_path_an_image_and_an_array_have_the_same_prediction(detector, file):
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    expected = detector.predict(file)
    for given in (str(file), Image.open(file), pixels):
        found = detector.predict(given)
        assert found == expected
        np.testing.assert_array_equal(found.map_HW, expected.map_HW)
    assert expected.map_HW.shape == (64, 64)
    assert expected.map_HW.dtype == np.float32
    assert expected.patch_scores_P.ndim == 1


def test_an_image_is_turned_as_its_tag_says(detector, file, tmp_path):
    with Image.open(file) as image:
        exif = image.getexif()
        exif[0x0112] = 6
        image.convert("RGB").rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    turned = tmp_path / "turned.png"
    assert detector.predict(turned).score == pytest.approx(detector.predict(file).score, abs=1e-6)
    assert detector.predict(Image.open(turned)) == detector.predict(turned)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_batches_do_not_change_predictions(detector, bricks, size):
    files = sorted(bricks.new.iterdir())
    alone = [detector.predict(file).score for file in files]
    together = [each.score for each in detector.predict_many(files, batch_size=size)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert list(detector.predict_many([])) == []


def test_thresholds_decide(detector, file):
    score = detector.predict(file).score
    for threshold in (score - 1e-3, str(score - 1e-3)):
        assert detector.predict(file, threshold=threshold).is_anomalous
    assert detector.predict(file, threshold=score).is_anomalous
    above = float(np.nextafter(score, np.inf))
    assert not detector.predict(file, threshold=above).is_anomalous
    for named in detector.thresholds:
        found = detector.predict(file, threshold=named.name)
        assert (found.threshold, found.is_anomalous) == (named.value, score > named.value)
    assert detector.predict(file).threshold == detector.thresholds[0].value


@pytest.mark.parametrize("threshold", ["quantile-12", "nan", ""])
def test_an_unknown_threshold_is_refused(detector, file, threshold):
    with pytest.raises(UsageError, match="mad_3"):
        detector.predict(file, threshold=threshold)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(detector, pixels):
    with pytest.raises(InputError, match=r"uint8 \[height, width, 3\]"):
        detector.predict(pixels)


def test_a_missing_or_broken_file_is_refused(detector, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "none.png"):
        with pytest.raises(InputError, match=name):
            detector.predict(tmp_path / name)


def test_quantiles_and_the_median_are_those_of_the_scores():
    scores = np.random.default_rng(0).normal(5, 2, 100_000)
    values = {each.name: each.value for each in label_free_thresholds(scores, left_out=True)}
    assert values["quantile_99"] == pytest.approx(5 + 2.326 * 2, abs=0.05)
    assert values["quantile_95"] == pytest.approx(5 + 1.645 * 2, abs=0.05)
    assert values["mad_3"] == pytest.approx(5 + 3 * 2, abs=0.05)


def test_the_meaning_says_whether_images_were_left_out():
    honest, other = (
        label_free_thresholds(np.arange(9.0), left_out=flag)[0].meaning for flag in (True, False)
    )
    assert "as if it were new" in honest
    assert "has learnt from the images" in other
