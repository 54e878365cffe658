"""Chance of test images: against the pairwise definition, a jackknife, scipy's bootstrap, and pairing by image."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.metrics.exact import image_ap, image_auroc
from reports.statistics.images import (
    ImageScores,
    auroc_deviations,
    bootstrap_deviations,
    covariance_across,
    draws,
    weighted,
)
from tests.support.synthetic_scores import Images, score_table

RNG = np.random.default_rng(5)
LABELS = np.repeat([False, True], [40, 30])
SCORES = np.round(RNG.normal(size=70) + LABELS, 1)  # rounded, so that there are ties


def test_the_deviations_of_an_auroc_are_delongs():
    """Structural components from all pairs, by the definition of the paper."""
    wins = (SCORES[LABELS][:, None] > SCORES[~LABELS]) + 0.5 * (
        SCORES[LABELS][:, None] == SCORES[~LABELS]
    )
    variance = wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 40
    assert (auroc_deviations(LABELS, SCORES) ** 2).sum() == pytest.approx(variance)
    assert wins.mean() == pytest.approx(image_auroc(LABELS, SCORES))


def test_the_variance_of_an_auroc_is_that_of_a_stratified_bootstrap():
    """The bootstrap of scipy resamples normal and defective images apart."""

    def auroc(good, bad, axis=-1):
        wins = (bad[..., :, None] > good[..., None, :]) + 0.5 * (
            bad[..., :, None] == good[..., None, :]
        )
        return wins.mean(axis=(-2, -1))

    theirs = stats.bootstrap(
        (SCORES[~LABELS], SCORES[LABELS]),
        auroc,
        n_resamples=4000,
        batch=500,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(1),
    ).standard_error
    own = np.sqrt((auroc_deviations(LABELS, SCORES) ** 2).sum())
    assert own == pytest.approx(theirs, rel=0.06)


def test_bootstrap_deviations_are_drawn_within_labels_and_have_the_bootstrap_variance():
    drawn = draws(LABELS, 300)
    assert (LABELS[drawn] == LABELS).all()
    assert np.array_equal(drawn, draws(LABELS, 300))
    values = [image_ap(LABELS, SCORES[own]) for own in drawn]
    found = bootstrap_deviations(LABELS, SCORES, "image_ap", drawn)
    assert (found**2).sum() == pytest.approx(np.var(values, ddof=1))


def test_two_runs_with_the_same_scores_differ_by_nothing():
    scores, _ = score_table(np.stack([SCORES, SCORES]), LABELS, method="m")
    images = ImageScores(scores)
    for metric in ("image_auroc", "image_ap"):
        runs = [images.deviations(f"m-0.4-0-{i}", metric, "all")["c0"][1] for i in (0, 1)]
        assert weighted([1, -1], runs).values_SV == pytest.approx(0)


def test_images_that_one_run_lacks_are_not_paired():
    scores, _ = score_table(np.stack([SCORES, SCORES]), LABELS, method="m")
    second = (scores["run_id"] == "m-0.4-0-1") & (scores["image"] < "0020.png")
    images = ImageScores(scores[~second])
    runs = [images.deviations(f"m-0.4-0-{i}", "image_auroc", "all")["c0"][1] for i in (0, 1)]
    total = weighted([1, -1], runs)
    assert total.values_SV.shape == (1, 70)
    assert total.df == {"normal": 19, "defective": 29}


def test_unseen_images_leave_out_the_anomalies_of_the_training_set():
    scores, _ = score_table(SCORES[None], LABELS, method="m")
    scores["seen"] = pd.array(scores["image"] >= "0060.png", dtype="boolean")
    value, found = ImageScores(scores).deviations("m-0.4-0-0", "image_auroc", "unseen")["c0"]
    kept = np.arange(70) < 60
    assert value == image_auroc(LABELS[kept], SCORES[kept])
    assert found.df == {"defective": 19, "normal": 39}


@pytest.mark.parametrize(
    "change", [{"metric": "pixel_ap"}, {"readout": "defect"}, {"run_id": "another"}]
)
def test_without_scores_of_the_metric_there_are_no_deviations(change):
    scores, _ = score_table(SCORES[None], LABELS, method="m")
    name = {"run_id": "m-0.4-0-0", "metric": "image_auroc", "readout": "all"} | change
    assert ImageScores(scores).deviations(**name) == {}


def test_the_chance_common_to_runs_is_their_covariance():
    deviations_SV = RNG.normal(size=(3, 50))
    products = deviations_SV @ deviations_SV.T
    expected = products[np.triu_indices(3, 1)].mean()
    assert covariance_across(deviations_SV) == pytest.approx(expected)
    assert covariance_across(deviations_SV[:1]) == pytest.approx(products[0, 0])


def test_synthetic_scores_have_the_auroc_that_they_are_made_for():
    images = Images(np.random.default_rng(0), normal=20_000, defective=20_000)
    scores_SN = images.scores(0.85, 1, np.random.default_rng(1).normal(size=40_000))
    assert image_auroc(images.labels_N, scores_SN[0]) == pytest.approx(0.85, abs=0.005)
