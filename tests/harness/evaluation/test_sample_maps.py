"""Sheets of maps over images: which images, that they are the same for all, and that masks and heat stand right."""

import numpy as np
import pandas as pd
import pytest

from harness.anomaly_maps import DINOMALY
from harness.evaluation import Evaluation
from harness.evaluation.sample_maps import (
    ANOMALOUS,
    OUTLINE,
    TILE,
    choose,
    choose_worst,
    sheet,
)
from tests.support.dataset import ENCODER, SMALL


def test_a_normal_image_and_different_defects_are_chosen_by_digest():
    rows = [
        ("good", "d"),
        ("good", "c"),
        ("crack", "b"),
        ("crack", "a"),
        ("hole", "z"),
        ("dot", "y"),
    ]
    test = pd.DataFrame(rows, columns=["defect", "digest"], index=[9, 8, 7, 6, 5, 4])
    assert choose(test) == [1, 3, 5, 4]
    assert choose(test[test["defect"] == "good"]) == [1]
    assert choose(test[test["defect"] != "hole"]) == [1, 3, 4, 2]


@pytest.fixture
def drawn(small):
    """A function that draws the sheet of some patch scores of the small dataset's test images."""
    test = small.prepared.samples.query("split == 'test'").reset_index(drop=True)

    def draw(scores_NP, test=test):
        settings = {"dataset": SMALL, "encoder": ENCODER, "rule": DINOMALY, "data": small.data}
        return sheet(Evaluation(size=64), test=test, scores_NP=scores_NP, **settings).image

    return test, draw


def tiles_of(image):
    pixels = np.asarray(image).astype(int)
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    return pixels.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)


def test_the_images_are_the_same_whatever_the_scores_and_their_order(drawn):
    test, draw = drawn
    rng = np.random.default_rng(0)
    one = tiles_of(draw(rng.random((len(test), 64))))
    shuffled = test.sample(frac=1, random_state=0)
    other = tiles_of(draw(rng.random((len(test), 64)), shuffled))
    assert one.shape[:2] == (test["category"].nunique(), 2 * (1 + ANOMALOUS))
    np.testing.assert_array_equal(one[:, ::2], other[:, ::2])
    assert (one[:, 1::2] != other[:, 1::2]).any()


def test_a_mask_is_outlined_on_anomalous_images_alone(drawn):
    test, draw = drawn
    tiles = tiles_of(draw(np.random.default_rng(0).random((len(test), 64))))
    outlined = (tiles == OUTLINE).all(axis=-1).any(axis=(-1, -2))
    assert not outlined[:, 0].any()
    assert outlined[:, 2::2].all()
    assert not outlined[:, 1::2].any()


def test_heat_lies_where_the_scores_are_high(drawn):
    test, draw = drawn
    scores = np.zeros((len(test), 8, 8))
    scores[:, :3, :3] = 1.0
    tiles = tiles_of(draw(scores.reshape(len(test), 64)))
    change = np.abs(tiles[:, 1::2] - tiles[:, 0::2]).sum(axis=-1)
    quarter, far = TILE // 4, 3 * TILE // 4
    assert (change[:, :, :quarter, :quarter].mean(axis=(2, 3)) > 30).all()
    np.testing.assert_array_equal(change[:, 0, far:, far:], 0)


def test_a_missing_normal_image_leaves_a_white_place(drawn):
    test, draw = drawn
    first = test["category"] == sorted(test["category"])[0]
    fewer = test[~first | (test["defect"] != "good")]
    tiles = tiles_of(draw(np.random.default_rng(0).random((len(fewer), 64)), fewer))
    assert (tiles[0, -2:] == 255).all()
    assert not (tiles[1, -2:] == 255).all()


def test_the_worst_images_are_low_scoring_defects_and_high_scoring_normal_images():
    rows = [
        ("good", 0.9, "a"),
        ("good", 0.1, "b"),
        ("good", 0.5, "c"),
        ("good", 0.5, "d"),
        ("hole", 0.7, "e"),
        ("hole", 0.2, "f"),
        ("crack", 0.2, "g"),
        ("crack", 0.8, "h"),
    ]
    test = pd.DataFrame(rows, columns=["defect", "score", "digest"], index=range(8, 0, -1))
    assert choose_worst(test) == [5, 6, 4, 0, 3, 2]
    assert choose_worst(test[test["defect"] != "good"]) == [1, 2, 0]


def test_a_place_is_where_its_image_is_on_the_sheet(small):
    test = small.prepared.samples.query("split == 'test'").reset_index(drop=True)
    settings = {"dataset": SMALL, "encoder": ENCODER, "rule": DINOMALY, "data": small.data}
    scores_NP = np.random.default_rng(0).random((len(test), 64))
    settings |= {"scores_NP": scores_NP}
    whole = sheet(Evaluation(size=64), test=test, **settings)
    for place in whole.places.itertuples():
        alone = sheet(
            Evaluation(size=64),
            test=test,
            picks_of=lambda group, name=place.image: list(np.flatnonzero(group["image"] == name)),
            **settings,
        )
        (only,) = alone.places.itertuples()
        cut = np.asarray(whole.image)[place.top :, place.left :][:TILE, : 2 * TILE]
        expected = np.asarray(alone.image)[only.top :][:TILE, : 2 * TILE]
        np.testing.assert_array_equal(cut, expected)
