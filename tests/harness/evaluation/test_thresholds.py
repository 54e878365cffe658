"""Thresholds: rules against definitions by hand, distributions of scipy, and what holds for any scores."""

import inspect

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from harness.errors import InputError
from harness.evaluation.decisions import decide, judge
from harness.evaluation.thresholds import (
    RULES,
    FalseAlarms,
    MedianMAD,
    Quantile,
    f1max,
    label_free,
)
from harness.metrics import image_f1max

RNG = np.random.default_rng(0)
SCORES = st.lists(st.integers(0, 20).map(float), min_size=1, max_size=30).map(np.array)


def test_a_quantile_is_interpolated_between_the_sorted_scores():
    scores = RNG.permutation(np.arange(11.0)) ** 2
    assert Quantile(level=0.9).threshold(scores) == 81
    assert Quantile(level=0.95).threshold(scores) == (81 + 100) / 2


def test_deviations_from_the_median_are_standard_deviations_of_normal_scores():
    scores = RNG.normal(5, 2, 100_000)
    assert MedianMAD(deviations=3).threshold(scores) == pytest.approx(5 + 3 * 2, abs=0.06)
    dirty = np.concatenate([scores, np.full(1000, 1e6)])
    assert MedianMAD(deviations=3).threshold(dirty) == pytest.approx(5 + 3 * 2, abs=0.15)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@given(scores=SCORES, factor=st.sampled_from([0.5, 1, 4]), shift=st.integers(-9, 9))
def test_thresholds_have_the_units_of_the_scores(rule, scores, factor, shift):
    moved = rule.threshold(factor * scores + shift)
    assert moved == pytest.approx(factor * rule.threshold(scores) + shift, abs=1e-9)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
@pytest.mark.parametrize("images", [1, 4, 9, 19, 20, 37])
def test_one_of_exchangeable_images_is_an_alarm_at_the_rate_at_most(rate, images):
    """Each of n + 1 images is equally likely the further one: the alarms are counted for all of them."""
    scores = RNG.permutation(np.arange(images + 1.0))
    rule = FalseAlarms(rate=rate)
    alarms = [scores[i] >= rule.threshold(np.delete(scores, i)) for i in range(len(scores))]
    enough = images >= 1 / rate - 1
    assert sum(alarms) <= (rate * (images + 1) + 1e-9 if enough else 1)
    assert sum(alarms) >= np.floor(rate * (images + 1) + 1e-9)


def test_equal_scores_are_no_alarms():
    rule = FalseAlarms(rate=0.2)
    assert rule.threshold(np.ones(50)) > 1


@pytest.mark.parametrize("images", [1, 10, 59, 1000])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_the_interval_of_the_rate_has_binomial_tails(images, rate):
    """The rate is at most x if fewer than k of n uniform scores are below 1 - x."""
    rule = FalseAlarms(rate=rate, confidence=0.9)
    low, high = rule.interval(images)
    place = int((np.arange(images) < rule.threshold(np.arange(float(images)))).sum())
    assert stats.binom.cdf(place - 1, images, 1 - low) == pytest.approx(0.05, abs=1e-6)
    assert stats.binom.cdf(place - 1, images, 1 - high) == pytest.approx(0.95, abs=1e-6)


def test_the_interval_covers_the_rate_as_often_as_promised():
    rule = FalseAlarms(rate=0.1, confidence=0.9)
    low, high = rule.interval(60)
    rates = [stats.norm.sf(rule.threshold(RNG.standard_normal(60))) for _ in range(4000)]
    assert np.mean([low <= rate <= high for rate in rates]) == pytest.approx(0.9, abs=0.02)
    assert np.mean(rates) == pytest.approx(6 / 61, abs=0.003)


@given(st.data(), SCORES)
def test_the_threshold_of_f1max_reaches_it(data, scores):
    labels = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    )
    found = f1max(labels, scores)
    if not labels.any():
        assert found is None
        return
    assert judge(labels, scores >= found.value)["f1"] == pytest.approx(image_f1max(labels, scores))


@given(st.data(), SCORES)
def test_decisions_are_judged_as_by_sklearn_and_recall_falls_with_the_threshold(data, scores):
    labels = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)))
    )
    judged = [judge(labels, scores >= threshold) for threshold in np.arange(-1, 23, 4.0)]
    for measure in ("recall", "false_alarm_rate"):
        values = [each[measure] for each in judged]
        assert np.isnan(values).all() or (np.diff(values) <= 0).all()
    called = scores >= 10
    found = judge(labels, called)
    if labels.any():
        assert found["recall"] == pytest.approx(recall_score(labels, called))
        assert found["f1"] == pytest.approx(f1_score(labels, called, zero_division=0))
    if not labels.all():
        assert found["false_alarm_rate"] == pytest.approx(called[~labels].mean())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Quantile(level=1), r"must lie in \(0, 1\)"),
        (lambda: FalseAlarms(rate=0), r"must lie in \(0, 1\)"),
        (lambda: FalseAlarms(confidence=1.5), r"must lie in \(0, 1\)"),
        (lambda: MedianMAD(deviations=0), "positive"),
        (lambda: Quantile().threshold(np.empty(0)), "at least one image"),
        (lambda: MedianMAD().threshold(np.array([1, np.nan])), "1 are NaN"),
        (lambda: FalseAlarms().threshold(np.array([np.inf])), "1 are NaN or infinite"),
        (lambda: FalseAlarms().interval(0), "at least one image"),
    ],
)
def test_what_gives_no_threshold_is_refused(make, reason):
    with pytest.raises(InputError, match=reason):
        make()


def test_a_rule_takes_the_scores_that_it_prefers_and_none_that_it_does_not_accept():
    scores = np.arange(40.0)
    names = {
        basis: {each.name for each in label_free(RULES, dict.fromkeys(basis, scores))}
        for basis in [("left_out",), ("fitted",), ("left_out", "validation")]
    }
    assert "false_alarms_5.left_out" in names["left_out",]
    assert names["fitted",] == {"quantile_95.fitted", "quantile_99.fitted", "mad_3.fitted"}
    assert "false_alarms_5.validation" in names["left_out", "validation"]
    assert "quantile_95.left_out" in names["left_out", "validation"]
    assert "labels" not in {basis for rule in RULES for basis in rule.bases}


def test_no_rule_can_be_given_a_label():
    for rule in RULES:
        assert list(inspect.signature(rule.threshold).parameters) == ["scores_N"]


@pytest.fixture
def test_images():
    """Two categories with two kinds of defect and a seen anomaly each."""
    size = 40
    return pd.DataFrame(
        {
            "category": np.repeat(["a", "b"], size),
            "defect": np.tile(np.repeat(["good", "hole", "a/b"], [16, 14, 10]), 2),
            "score": RNG.normal(0, 1, 2 * size) + np.tile(np.repeat([0, 1, 2], [16, 14, 10]), 2),
            "seen": np.tile(np.arange(size) % 20 == 19, 2),
        },
        index=np.arange(100, 100 + 2 * size),
    )


@pytest.fixture
def training():
    return {"left_out": {name: RNG.normal(0, 1, 60) for name in "ab"}}


def test_values_and_decisions_follow_from_the_scores_of_their_category(test_images, training):
    metrics, decisions = decide(RULES, test_images, training)
    value = metrics.set_index(["readout", "metric", "category"])["value"]
    for name, group in test_images.groupby("category"):
        threshold = np.quantile(training["left_out"][name], 0.95)
        called = group["score"] >= threshold
        assert value["all", "threshold.quantile_95.left_out", name] == threshold
        assert (decisions.loc[group.index, "quantile_95.left_out"] == called).all()
        labels = group["defect"] != "good"
        assert value["all", "recall.quantile_95.left_out", name] == called[labels].mean()
        assert value["all", "false_alarm_rate.quantile_95.left_out", name] == called[~labels].mean()
        unseen = labels & ~group["seen"]
        assert value["unseen", "recall.quantile_95.left_out", name] == called[unseen].mean()
        of_kind = group["defect"] == "a/b"
        assert (
            value["defect", "recall.quantile_95.left_out", f"{name}/a/b"] == called[of_kind].mean()
        )
        auroc = roc_auc_score(of_kind[~labels | of_kind], group["score"][~labels | of_kind])
        assert value["defect", "auroc", f"{name}/a/b"] == pytest.approx(auroc)
        assert value["defect", "images", f"{name}/hole"] == 14
    both = [value["all", "f1.mad_3.left_out", name] for name in "ab"]
    assert value["all", "f1.mad_3.left_out", "mean"] == pytest.approx(np.mean(both))


def test_labels_change_no_threshold_and_no_decision(test_images, training):
    shuffled = test_images["defect"].sample(frac=1, random_state=1).to_numpy()
    (before, decisions), (after, again) = (
        decide(RULES, test_images.assign(defect=defects), training)
        for defects in (test_images["defect"], shuffled)
    )
    pd.testing.assert_frame_equal(decisions, again)
    free = [each[_is_label_free(each)].reset_index(drop=True) for each in (before, after)]
    assert len(free[0]) == 3 * len(RULES)
    pd.testing.assert_frame_equal(*free)


def _is_label_free(metrics):
    is_threshold = metrics["metric"].str.startswith("threshold.")
    return is_threshold & ~metrics["metric"].str.endswith(".labels")


def test_without_rules_only_the_threshold_of_f1max_and_the_kinds_of_defect_are_left(test_images):
    metrics, decisions = decide((), test_images, {})
    assert decisions.empty
    assert {name.partition(".")[2] for name in metrics["metric"] if "." in name} == {"f1max.labels"}
    assert set(metrics.loc[metrics["readout"] == "defect", "category"]) == {
        f"{category}/{kind}" for category in "ab" for kind in ("hole", "a/b")
    }


def test_a_kind_with_a_name_that_cannot_be_tracked_has_no_row(test_images, training):
    long = test_images.replace({"defect": {"hole": "h" * 240}})
    metrics, _ = decide(RULES, long, training)
    kinds = set(metrics.loc[metrics["readout"] == "defect", "category"])
    assert kinds == {"a/a/b", "b/a/b"}
