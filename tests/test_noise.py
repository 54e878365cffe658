"""Contamination: the published counts, and what every list must satisfy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.noise import Noise, contaminate, injection_count

MVTEC_40 = {  # category: normals, anomalies, injected at 10, 20 and 40 %
    "bottle": (209, 63, 21, 42, 63),
    "hazelnut": (391, 70, 39, 70, 70),
    "leather": (245, 92, 24, 49, 92),
    "pill": (267, 141, 27, 53, 107),
    "toothbrush": (60, 30, 6, 12, 24),
    "transistor": (213, 40, 21, 40, 40),
}


def table(counts):
    """A sample table with these (normals, anomalies, goods) per category."""
    rows = []
    for category, (normals, anomalies, goods) in counts.items():
        rows += [(f"{category}/train/{i:04}", category, "train", "good") for i in range(normals)]
        rows += [(f"{category}/bad/{i:04}", category, "test", "crack") for i in range(anomalies)]
        rows += [(f"{category}/ok/{i:04}", category, "test", "good") for i in range(goods)]
    frame = pd.DataFrame(rows, columns=["image", "category", "split", "defect"])
    return frame.assign(mask=None)


@pytest.mark.parametrize("category", MVTEC_40)
def test_injected_counts_equal_the_published_lists(category):
    normals, anomalies, *injected = MVTEC_40[category]
    samples = table({category: (normals, anomalies, 5)})
    for ratio, count in zip((0.1, 0.2, 0.4), injected, strict=True):
        split = contaminate(samples, Noise(ratio=ratio))
        assert split.injected_N.sum() == count
        assert split.counts["contamination"].item() == pytest.approx(count / (normals + count))


def test_counts_round_half_to_even_in_decimal():
    assert [injection_count(n, 0.1) for n in (245, 205, 255)] == [24, 20, 26]
    assert injection_count(100, 0.29) == 29


counts = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.integers(1, 30), st.integers(1, 20), st.integers(1, 5)),
    min_size=1,
)


@given(counts, st.floats(0, 0.99), st.integers(0, 100))
def test_every_list_keeps_the_rules(sizes, ratio, seed):
    samples = table(sizes)
    split = contaminate(samples, Noise(ratio=ratio, seed=seed))
    assert split.train["image"].is_unique
    injected = split.train[split.injected_N]
    assert (injected["split"] == "test").all()
    assert (injected["defect"] != "good").all()
    assert set(injected["image"]) <= set(split.test["image"])  # overlap: the test set is whole
    assert len(split.test) == (samples["split"] == "test").sum()
    sizes_after = split.train.groupby("category").size().to_numpy()
    of_injected = injected.groupby("category").size().reindex(sorted(sizes), fill_value=0)
    np.testing.assert_allclose(split.counts["contamination"], of_injected / sizes_after)
    assert set(split.train["image"]) >= set(samples.loc[samples["split"] == "train", "image"])


@given(counts, st.integers(0, 100))
def test_no_list_depends_on_other_categories_or_on_the_order_of_the_table(sizes, seed):
    noise = Noise(ratio=0.3, seed=seed)
    samples = table(sizes)
    together = contaminate(samples.sample(frac=1, random_state=seed), noise)
    for category in sizes:
        alone = contaminate(samples[samples["category"] == category], noise)
        of_category = together.train[together.train["category"] == category]
        assert set(of_category["image"]) == set(alone.train["image"])


def test_seeds_ratios_and_datasets_draw_different_lists():
    samples = table({"a": (100, 100, 1)})
    variants = [
        (Noise(ratio=0.2, seed=0), "x"),
        (Noise(ratio=0.2, seed=1), "x"),
        (Noise(ratio=0.2, seed=0), "y"),
        (Noise(ratio=0.2001, seed=0), "x"),
    ]
    lists = [
        frozenset(contaminate(samples, noise, dataset=name).train["image"])
        for noise, name in variants
    ]
    assert len(set(lists)) == len(lists)
    again = contaminate(samples, Noise(ratio=0.2, seed=0), dataset="x")
    assert frozenset(again.train["image"]) == lists[0]


def test_draws_are_uniform():
    samples = table({"a": (50, 20, 1)})
    hits = np.zeros(20)
    for seed in range(400):
        split = contaminate(samples, Noise(ratio=0.1, seed=seed))
        hits[[int(path[-4:]) for path in split.train.loc[split.injected_N, "image"]]] += 1
    expected = 400 * 5 / 20
    assert ((hits - expected) ** 2 / expected).sum() < 43.8  # chi-squared, 19 degrees, p = 0.001


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5])
def test_a_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(InputError, match=r"noise ratio must lie in \[0, 1\), got"):
        Noise(ratio=ratio)
