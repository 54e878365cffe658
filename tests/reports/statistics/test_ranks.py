"""Ranks over data sets: Demšar's example, scipy, groups by hand, and the diagram."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reports.plots.ranks import draw_ranks
from reports.statistics.ranks import blocks_of, critical_difference, rank
from tests.support.synthetic_scores import tidy_rows

RNG = np.random.default_rng(2)


def blocks(count, gaps, sd=0.01):
    shared = RNG.uniform(0.5, 0.9, size=(count, 1))
    values = shared + np.asarray(gaps) + sd * RNG.normal(size=(count, len(gaps)))
    return pd.DataFrame(values, columns=[f"m{i}" for i in range(len(gaps))])


def test_the_critical_difference_is_demsars():
    """His example (JMLR 7, 2006, section 3.2.4): four classifiers, 14 data sets, q = 2.569, difference 1.25."""
    assert critical_difference(4, 14) == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=2e-3)


def test_mean_ranks_and_friedmans_test_are_scipys():
    values = blocks(12, [0.0, -0.02, -0.05])
    found = rank(values)
    expected = stats.rankdata(-values.to_numpy(), axis=1).mean(axis=0)
    assert list(found.ranks.sort_index()) == pytest.approx(list(expected))
    assert found.p == pytest.approx(stats.friedmanchisquare(*values.to_numpy().T).pvalue)
    assert rank(-values, lower=True).ranks.to_dict() == found.ranks.to_dict()


@pytest.mark.parametrize("posthoc", ["wilcoxon", "nemenyi"])
def test_methods_far_apart_are_in_no_group_and_equal_ones_in_one(posthoc):
    found = rank(blocks(20, [0.0, 0.0, -0.3]), posthoc=posthoc)
    assert [set(group) for group in found.groups] == [{"m0", "m1"}]
    assert rank(blocks(20, [0.0, -0.2, -0.4]), posthoc="wilcoxon").groups == ()


def test_few_blocks_show_nothing_and_the_caption_explains_it():
    found = rank(blocks(4, [0.0, -0.2, -0.4]))
    assert found.groups == (("m0", "m1", "m2"),)
    assert "4 blocks are too few for a difference beyond chance" in found.unit


def test_blocks_are_data_sets_categories_and_noise_ratios_with_every_method():
    rows = [
        row
        for noise in (0.0, 0.4)
        for name in ("a", "b")
        for row in tidy_rows([[0.9, 0.8], [0.7, 0.8]], method=name, noise=noise)
    ]
    rows = [row for row in rows if not (row["method"] == "b" and row["category"] == "c1")]
    found = blocks_of(pd.DataFrame(rows), "image_auroc")
    assert found.shape == (2, 2)
    assert found.to_numpy() == pytest.approx(0.8)


def test_equal_methods_have_equal_ranks_and_no_difference():
    values = pd.DataFrame({"a": [0.5, 0.6, 0.7], "b": [0.5, 0.6, 0.7], "c": [0.5, 0.6, 0.7]})
    found = rank(values)
    assert set(found.ranks) == {2.0}
    assert found.groups == (("a", "b", "c"),)


@pytest.mark.parametrize("posthoc", ["wilcoxon", "nemenyi"])
def test_the_diagram_names_each_method_with_its_rank(posthoc):
    found = rank(blocks(10, [0.0, -0.01, -0.05, -0.3, -0.31]), posthoc=posthoc)
    texts = [text.get_text() for text in draw_ranks(found).axes[0].texts]
    for name, value in found.ranks.items():
        assert any(name in text and f"({value:.2f})" in text for text in texts)
    assert any("critical difference" in text for text in texts) == (posthoc == "nemenyi")
