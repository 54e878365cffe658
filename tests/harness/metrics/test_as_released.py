"""Metrics as released code computes them: against plain loops over thresholds, and where they go wrong."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from harness.metrics import pixel_aupro, pixel_auroc
from harness.metrics.as_released import adeval200, dinomaly200_aupro, strips

EIGHT = np.ones((3, 3))


def maps_of(seed, *, skew=0.0):
    rng = np.random.default_rng(seed)
    masks = ndimage.gaussian_filter(rng.normal(size=(4, 16, 16)), (0, 2, 2)) > 0.15
    masks[0] = False
    masks[1, 3:6, 3:6] = True
    maps = ndimage.gaussian_filter(rng.normal(size=masks.shape), (0, 1, 1)) + 0.2 * masks
    return masks, np.exp(skew * maps).astype(np.float32) if skew else maps.astype(np.float32)


def rates_by_loop(masks, maps, thresholds, found):
    """(false-positive rate, true-positive rate, mean overlap) at every threshold."""
    regions = []
    for i, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=EIGHT)
        regions += [(i, labels == k) for k in range(1, count + 1)]
    rates = []
    for threshold in thresholds:
        predicted = found(maps, threshold)
        overlap = np.mean([predicted[i][region].mean() for i, region in regions])
        rates.append((predicted[~masks].mean(), predicted[masks].mean(), overlap))
    return np.array(rates)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0, 3]))
def test_dinomaly_aupro_equals_its_loop(seed, skew):
    masks, maps = maps_of(seed, skew=skew)
    low, high = maps.min(), maps.max()
    rates = rates_by_loop(masks, maps, np.arange(low, high, (high - low) / 200), np.greater)
    kept = rates[rates[:, 0] < 0.3][::-1]
    expected = np.trapezoid(kept[:, 2], kept[:, 0] / kept[:, 0].max())
    assert dinomaly200_aupro(masks, maps) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0, 3]))
def test_adeval_equals_its_loop(seed, skew):
    masks, maps = maps_of(seed, skew=skew)
    low, high = float(maps.min()), float(maps.max())
    edges = np.linspace(0, 1, 201, dtype=np.float32) * (high - low) + low
    fpr, tpr, overlap = rates_by_loop(masks, maps, edges[::-1], np.greater_equal).T
    positives, negatives = masks.sum(), (~masks).sum()
    found = tpr * positives + fpr * negatives
    precision = np.where(found > 0, tpr * positives / np.maximum(found, 1), 1.0)
    expected = {
        "pixel_auroc": np.trapezoid(tpr, fpr),
        "pixel_ap": np.trapezoid(precision, tpr),
        "pixel_aupro": np.trapezoid(
            np.append(overlap[fpr <= 0.3], np.interp(0.3, fpr, overlap)),
            np.append(fpr[fpr <= 0.3], 0.3),
        )
        / 0.3,
    }
    ours = adeval200(masks, maps)
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value, abs=1e-6), name


def test_constant_maps_are_undefined_where_the_exact_value_is_not():
    mask = np.zeros((1, 3, 4), dtype=bool)
    mask[0, 0, :2] = True
    assert np.isnan(dinomaly200_aupro(mask, np.ones((1, 3, 4))))
    assert all(np.isnan(value) for value in adeval200(mask, np.ones((1, 3, 4))).values())


def test_one_hot_pixel_ruins_the_published_values_and_not_the_exact_ones():
    masks, maps = maps_of(5)
    hot = maps.copy()
    hot[0, 0, 0] = 1000.0
    assert abs(pixel_aupro(masks, hot) - pixel_aupro(masks, maps)) < 0.02
    assert abs(dinomaly200_aupro(masks, hot) - dinomaly200_aupro(masks, maps)) > 0.2
    assert abs(adeval200(masks, hot)["pixel_auroc"] - 0.5) < 0.01
    assert pixel_auroc(masks, hot) > 0.6


def test_pixels_with_the_highest_score_count_once_in_the_strips():
    """By hand: at any strip above 0, half of both kinds is found. ADEval's CUDA class would count them twice."""
    masks, maps = np.array([[[1, 0, 1, 0]]], bool), np.array([[[1.0, 1.0, 0.0, 0.0]]], np.float32)
    values = adeval200(masks, maps)
    assert values["pixel_auroc"] == pytest.approx(0.5 * (0.5 + 1) / 2)
    assert values["pixel_ap"] == pytest.approx(0.5 * 0.5)


@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 230),
    offset=st.sampled_from([0.0, 1.0, -30.0, 1e6]),
    spread=st.sampled_from([1e-9, 1e-5, 1.0, 1e4]),
    kind=st.sampled_from([np.float32, np.float64]),
    side=st.sampled_from(["left", "right"]),
)
@settings(max_examples=200, deadline=None)
def test_strips_are_those_of_a_search(seed, count, offset, spread, kind, side):
    """Also where rounding makes edges uneven or equal, at the edges themselves, and outside of them."""
    rng = np.random.default_rng(seed)
    edges = (np.linspace(0, 1, count, dtype=kind) * kind(spread) + kind(offset)).astype(kind)
    values = (rng.normal(0.5, 0.5, 400) * spread + offset).astype(np.float32)
    values[: len(edges)] = edges
    found = strips(values.reshape(20, 20), edges, side)
    np.testing.assert_array_equal(found, np.searchsorted(edges, values.reshape(20, 20), side=side))
