"""Selection: equations 11-13 by hand, and what must hold for any scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.selection import lower_median, robust_max, select

finite = st.floats(-1e3, 1e3)
score_lists = st.lists(finite, min_size=1, max_size=40)


def one_category(scores):
    return np.zeros(len(scores), dtype=int)


def test_robust_max_counts_eight_of_784_patches():
    scores = np.zeros((1, 784))
    scores[0, :8] = 1.0
    assert robust_max(scores)[0] == 1.0
    scores[0, 7] = 0.0
    assert robust_max(scores)[0] == 7 / 8


def test_robust_max_of_few_patches_is_the_maximum():
    assert robust_max(np.array([[1.0, 5.0, 2.0]]))[0] == 5.0


@pytest.mark.parametrize("percent", [0, -1, 101])
def test_robust_max_refuses_a_share_outside_its_range(percent):
    with pytest.raises(InputError, match="top_percent"):
        robust_max(np.ones((1, 4)), top_percent=percent)


@given(score_lists)
def test_lower_median_is_a_value_with_half_on_either_side(values):
    values = np.array(values)
    median = lower_median(values)
    assert median in values
    assert (values <= median).sum() * 2 >= len(values)
    assert (values >= median).sum() * 2 >= len(values)


def test_equations_by_hand():
    distilled = np.array([0.0, 2.0, 4.0, 6.0, 100.0])
    current = np.array([1.0, 1.0, 5.0, 9.0, 100.0])
    # a = 0.5; eta = .5, 1.5, 4.5, 7.5, 100; median 4.5; deviations 4, 3, 0, 3, 95.5: MAD 3
    result = select(distilled, current, one_category(current), progress=0.25, critical_value=2)
    np.testing.assert_allclose(result.criterion_N, [0.5, 1.5, 4.5, 7.5, 100])
    np.testing.assert_allclose(result.threshold_N, 4.5 + 2 * 0.25 * 3)
    np.testing.assert_array_equal(result.selected_N, [True, True, True, False, False])
    assert result.degenerate == ()


def test_the_threshold_is_strict():
    scores = np.array([0.0, 1.0, 2.0, 3.0, 4.0])  # median 2, MAD 1: at k = 1 the threshold is 3
    selected = select(scores, scores, one_category(scores), progress=1.0).selected_N
    np.testing.assert_array_equal(selected, [True, True, True, False, False])


def test_the_distilled_score_counts_alone_at_the_start_and_not_at_all_from_half_way():
    distilled, current = np.array([3.0, 1.0, 2.0]), np.array([10.0, 20.0, 40.0])
    start = select(distilled, current, one_category(current), progress=0.0)
    half = select(distilled, current, one_category(current), progress=0.5)
    np.testing.assert_array_equal(start.criterion_N, distilled)
    np.testing.assert_array_equal(half.criterion_N, current)


@given(score_lists.filter(lambda v: len(v) > 1), st.floats(0, 1), st.floats(0, 4), st.floats(0, 4))
def test_a_larger_critical_value_never_loses_an_image(scores, progress, first, second):
    scores = np.array(scores)
    small, large = (
        select(scores, scores, one_category(scores), progress=progress, critical_value=k)
        for k in sorted((first, second))
    )
    if not small.degenerate:
        assert (large.selected_N >= small.selected_N).all()


@given(score_lists, st.floats(0, 1))
def test_something_is_always_selected_and_the_threshold_is_obeyed(scores, progress):
    scores = np.array(scores)
    result = select(scores, scores, one_category(scores), progress=progress)
    assert result.selected_N.any()
    if not result.degenerate:
        np.testing.assert_array_equal(result.selected_N, scores < result.threshold_N)


@given(score_lists, st.floats(0, 1))
def test_doubling_every_image_leaves_the_threshold(scores, progress):
    scores = np.array(scores)
    once = select(scores, scores, one_category(scores), progress=progress)
    twice = np.repeat(scores, 2)
    again = select(twice, twice, one_category(twice), progress=progress)
    assert again.threshold_N[0] == once.threshold_N[0]


def test_categories_do_not_share_a_threshold():
    low, high = np.array([0.0, 1.0, 2.0]), np.array([100.0, 101.0, 102.0])
    scores, category = np.concatenate([high, low]), np.array([1, 1, 1, 0, 0, 0])
    result = select(scores, scores, category, progress=1.0)
    np.testing.assert_array_equal(result.threshold_N, [102.0] * 3 + [2.0] * 3)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_equal_scores_keep_the_lower_half_and_say_so(count):
    scores = np.ones(count)
    result = select(scores, scores, np.full(count, 7), progress=0.5)
    assert result.selected_N.sum() == (count + 1) // 2
    assert result.degenerate == (7,)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"progress": 1.5}, "progress"),
        ({"critical_value": -1}, "critical_value"),
        ({"current_N": np.array([1.0, np.nan])}, "diverged"),
        ({"category_N": np.zeros(3)}, "one entry per image"),
    ],
)
def test_bad_input_is_refused(changes, text):
    arguments = {"distilled_N": np.ones(2), "current_N": np.ones(2), "category_N": np.zeros(2)}
    with pytest.raises(InputError, match=text):
        select(**{**arguments, "progress": 0.5, **changes})


def test_one_per_cent_of_784_patches_is_eight_in_the_paper_and_seven_in_its_release():
    scores = np.arange(784.0)[None]
    assert robust_max(scores)[0] == np.arange(776, 784).mean()
    assert robust_max(scores, rounding="down")[0] == np.arange(777, 784).mean()
    assert robust_max(scores[:, :64], rounding="down")[0] == 63
