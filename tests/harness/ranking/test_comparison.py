"""Comparison of the images of a folder, against distances of all pairs at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.distances import image_distances
from harness.features import CategoryFeatures
from harness.ranking import comparison
from harness.ranking.comparison import compare
from harness.runtime.compute import InProcess, Threads


@pytest.fixture
def features(tmp_path):
    """Features of 50 images with 6 patches, as the store keeps them."""
    values = np.random.default_rng(0).standard_normal((50, 6, 5))
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    np.save(tmp_path / "memory.npy", values.astype(np.float16))
    return CategoryFeatures(tmp_path)


@pytest.mark.parametrize(("group", "reach"), [(32, 32), (4, 2), (3, 1)])
@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_distances_are_those_of_all_pairs_and_no_image_meets_itself(
    features, monkeypatch, group, reach, share
):
    monkeypatch.setattr(comparison, "GROUP", group)
    monkeypatch.setattr(comparison, "REACH", reach)
    whole = image_distances(features.memory_NPC, features.memory_NPC)
    seen = []
    for found in compare(features, share, compute=InProcess()):
        for i, row in enumerate(found.rows_I):
            others = found.others_IK[i]
            seen.append(row)
            assert row not in others
            assert len(set(others)) == len(others)
            own_PK = whole[row][:, others]
            np.testing.assert_allclose(found.means_IK[i], own_PK.mean(axis=0), atol=1e-6)
            kept = max(2, math.ceil(share * len(others)))
            expected = np.sort(own_PK, axis=1)[:, :kept]
            np.testing.assert_allclose(found.smallest_IPk[i], expected, atol=1e-6)
    assert sorted(seen) == list(range(50))


def test_the_number_of_threads_changes_no_bit(features):
    one, many = (list(compare(features, 0.2, compute=each)) for each in (InProcess(), Threads()))
    for first, second in zip(one, many, strict=True):
        np.testing.assert_array_equal(first.rows_I, second.rows_I)
        np.testing.assert_array_equal(first.smallest_IPk, second.smallest_IPk)


@given(images=st.integers(1, 9000))
def test_every_image_meets_all_others_or_some_2000(images):
    groups = comparison._shuffled(images)
    assert sorted(np.concatenate(groups)) == list(range(images))
    pairs = comparison._pairs(len(groups))
    assert len(set(map(frozenset, pairs))) == len(pairs)
    met = np.zeros(len(groups), dtype=int)
    for g, h in pairs:
        met[g] += len(groups[h])
        if g != h:
            met[h] += len(groups[g])
    assert (met >= min(images, 2000)).all()
    assert (met <= 2080).all()
    assert images > 2080 or (met == images).all()
