"""Metrics: scikit-learn and a brute-force sweep as oracles, and what must not change a value."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from harness.errors import InputError
from harness.metrics import (
    channel_sweep,
    image_ap,
    image_auroc,
    image_f1max,
    inspection_depth,
    object_sweep,
    pixel_ap,
    pixel_aupro,
    pixel_auroc,
    pixel_f1max,
    pixel_sweep,
)
from harness.metrics.as_released import dinomaly200_aupro
from harness.metrics.regions import Channel

scores_with_ties = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6) | st.floats(-1e6, 1e6)), min_size=2, max_size=80
)


@given(scores_with_ties)
def test_image_metrics_equal_scikit_learn(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    scores = scores.astype(float)
    if labels.all() or not labels.any():
        return
    assert image_auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    assert image_f1max(labels, scores) == pytest.approx(f1.max(), abs=1e-9)
    oracle = average_precision_score(labels, scores)
    assert image_ap(labels, scores) == pytest.approx(oracle, abs=1e-9)


@given(scores_with_ties)
def test_reversing_the_scores_reverses_the_auroc(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    forward, backward = image_auroc(labels, scores), image_auroc(labels, -scores)
    assert forward == pytest.approx(1 - backward, abs=1e-12, nan_ok=True)


def test_a_missing_class_leaves_metrics_undefined_or_perfect():
    normal, anomalous = np.zeros(3, int), np.ones(3, int)
    scores = np.array([0.1, 0.2, 0.3])
    assert np.isnan(image_auroc(anomalous, scores))
    assert image_ap(anomalous, scores) == image_f1max(anomalous, scores) == 1
    assert np.isnan(inspection_depth(normal, scores))
    assert np.isnan(pixel_aupro(np.zeros((1, 2, 2)), np.ones((1, 2, 2))))


def test_a_score_that_is_not_a_number_is_refused_with_its_image():
    maps = np.zeros((3, 2, 2))
    maps[1, 0, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 4 scores of image 1 are NaN or infinite"):
        pixel_auroc(np.ones((3, 2, 2)), maps)
    with pytest.raises(InputError, match="first in image 2"):
        image_ap(np.array([0, 1, 1]), np.array([0, 1, np.inf]))


def test_shapes_that_differ_are_refused():
    with pytest.raises(InputError, match="one length"):
        image_auroc(np.zeros(3), np.zeros(4))
    with pytest.raises(InputError, match="one shape"):
        pixel_auroc(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)))


def brute_force_aupro(masks, maps, limit):
    """Visit every threshold, collect (false-positive rate, mean overlap), integrate by hand."""
    regions = []
    for i, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(i, labels == k) for k in range(1, count + 1)]
    negatives = masks == 0
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        predicted = maps >= threshold
        overlap = np.mean([predicted[i][region].mean() for i, region in regions])
        points.append((predicted[negatives].mean(), overlap))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x1 > limit:
            y1 = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
            x1 = limit
        area += (x1 - x0) * (y0 + y1) / 2
        if x1 >= limit:
            break
    return area / limit


@given(st.integers(0, 10**6), st.sampled_from([3, 8, 1000]), st.sampled_from([0.05, 0.3, 1.0]))
def test_aupro_equals_a_brute_force_sweep(seed, levels, limit):
    rng = np.random.default_rng(seed)
    masks = rng.random((3, 6, 7)) < 0.2
    maps = rng.integers(0, levels, masks.shape).astype(float) + masks * rng.integers(0, 2)
    if masks.any() and not masks.all():
        expected = brute_force_aupro(masks, maps, limit)
        assert pixel_aupro(masks, maps, max_fpr=limit) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 10**6))
def test_increasing_maps_of_the_scores_change_nothing(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((2, 8, 8)) < 0.3
    maps = rng.normal(size=masks.shape).round(1)
    ranks = np.unique(maps, return_inverse=True)[1].reshape(maps.shape)
    for changed in (np.exp(3 * maps), ranks):
        for metric in (pixel_auroc, pixel_ap, pixel_f1max, pixel_aupro):
            expected = pytest.approx(metric(masks, maps), nan_ok=True)
            assert metric(masks, changed) == expected
        for metric in (image_auroc, image_ap, image_f1max, inspection_depth):
            expected = pytest.approx(metric(masks.ravel(), maps.ravel()), nan_ok=True)
            assert metric(masks.ravel(), changed.ravel()) == expected


def test_increasing_maps_change_what_a_grid_of_thresholds_gives():
    rng = np.random.default_rng(0)
    masks = rng.random((2, 8, 8)) < 0.3
    maps = rng.normal(size=masks.shape) + masks
    stretched = np.exp(3 * maps)
    assert pixel_aupro(masks, stretched) == pytest.approx(pixel_aupro(masks, maps))
    assert abs(dinomaly200_aupro(masks, stretched) - dinomaly200_aupro(masks, maps)) > 0.1


@given(st.integers(0, 10**6))
def test_the_order_of_the_images_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    masks = rng.random((5, 6, 6)) < 0.2
    maps = rng.integers(0, 9, masks.shape)
    order = rng.permutation(5)
    for metric in (pixel_auroc, pixel_ap, pixel_f1max, pixel_aupro):
        assert metric(masks[order], maps[order]) == pytest.approx(metric(masks, maps))
    labels, scores = masks[:, 0, 0], maps[:, 0, 0]
    for metric in (image_auroc, image_ap, image_f1max, inspection_depth):
        expected = pytest.approx(metric(labels, scores), nan_ok=True)
        assert metric(labels[order], scores[order]) == expected


def test_a_good_image_below_all_scores_lowers_the_false_positive_rate_alone():
    rng = np.random.default_rng(0)
    masks = rng.random((3, 6, 6)) < 0.2
    maps = rng.integers(0, 9, masks.shape)
    before = pixel_sweep(masks, maps)
    after = pixel_sweep(
        np.append(masks, masks[:1] & False, axis=0), np.append(maps, maps[:1] - 99, axis=0)
    )
    (rate, overlap), (lower, same) = before.overlap_curve(), after.overlap_curve()
    np.testing.assert_array_equal(same, overlap)
    # The last point is (1, 1) by definition: everything is found.
    np.testing.assert_allclose(lower[:-1], rate[:-1] * before.negatives / (before.negatives + 36))


@given(scores_with_ties)
def test_no_inspection_is_shallower_than_the_share_of_anomalies(pairs):
    labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
    if labels.any():
        assert labels.mean() <= inspection_depth(labels, scores.astype(float)) <= 1


def test_aupro_of_one_region_without_a_limit_is_the_pixel_auroc():
    rng = np.random.default_rng(1)
    mask = np.zeros((1, 9, 9))
    mask[0, 2:5, 3:7] = 1
    maps = rng.normal(size=mask.shape) + mask
    assert pixel_aupro(mask, maps, max_fpr=1.0) == pytest.approx(pixel_auroc(mask, maps))


def test_counts_stay_exact_beyond_single_precision():
    masks = np.zeros(
        (1, 4100, 4100), dtype=bool
    )  # 16.8 million pixels: where float32 stops counting
    masks[0, 0, :10] = True
    sweep = pixel_sweep(masks, np.where(masks, 1, 2).astype(np.float32))
    assert sweep.reached_T[-1] == sweep.negatives == 4100**2 - 10
    assert sweep.auroc() == 0


@pytest.mark.parametrize("limit", [0, -0.1, 1.5])
def test_a_limit_outside_its_range_is_refused(limit):
    with pytest.raises(InputError, match="max_fpr"):
        pixel_aupro(np.eye(2)[None], np.eye(2)[None], max_fpr=limit)


def test_objects_take_the_maximum_over_their_views():
    objects = np.array(["a", "a", "b", "b", "c"])
    labels = np.array([0, 1, 0, 0, 0])
    scores = np.array([0.9, 0.2, 0.3, 0.4, 0.1])
    sweep = object_sweep(objects, labels, scores)
    assert (sweep.positives, sweep.negatives) == (1, 2)
    assert sweep.auroc() == 1.0
    assert image_auroc(labels, scores) == 0.25


def test_spro_with_whole_areas_and_one_channel_per_region_is_pro():
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 9, 9), dtype=bool)
    masks[0, 1:4, 1:4] = masks[0, 6:8, 5:9] = masks[1, 2:3, 2:9] = True
    maps = rng.integers(0, 6, masks.shape).astype(float)
    channels = []
    for mask in masks:
        labels, count = ndimage.label(mask)
        channels.append(
            [Channel(labels == k, int((labels == k).sum())) for k in range(1, count + 1)]
        )
    for limit in (0.05, 0.3, 1.0):
        assert channel_sweep(channels, maps).aupro(limit) == pytest.approx(
            pixel_aupro(masks, maps, max_fpr=limit)
        )


def brute_force_spro(channels, maps, limit):
    normal = np.stack(
        [
            ~np.logical_or.reduce([c.mask_HW for c in found] or [m < -9e9])
            for found, m in zip(channels, maps, strict=True)
        ]
    )
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        predicted = maps >= threshold
        values = [
            min(predicted[i][c.mask_HW].sum() / c.saturation_area, 1)
            for i, found in enumerate(channels)
            for c in found
        ]
        points.append((predicted[normal].mean(), np.mean(values)))
    x, y = np.array(points).T
    inside = x <= limit
    return (
        np.trapezoid(np.append(y[inside], np.interp(limit, x, y)), np.append(x[inside], limit))
        / limit
    )


@given(st.integers(0, 10**6))
def test_spro_equals_a_brute_force_sweep_with_overlapping_channels_and_ties(seed):
    rng = np.random.default_rng(seed)
    maps = rng.permutation(np.arange(2 * 6 * 7)).reshape(2, 6, 7).astype(float) // rng.integers(
        1, 3
    )
    channels = []
    for _ in range(2):
        masks = [rng.random((6, 7)) < 0.3 for _ in range(rng.integers(0, 3))]
        channels.append([Channel(m, int(rng.integers(1, m.sum() + 1))) for m in masks if m.any()])
    if any(channels):
        expected = brute_force_spro(channels, maps, 0.3)
        ours = channel_sweep(channels, maps).aupro(0.3)
        if np.unique(maps).size == maps.size:
            assert ours == pytest.approx(expected, abs=1e-9)
