"""Comparison with the best: Holm by hand, monotone verdicts by hypothesis, pairing, families, one seed."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics.best import against_best, differences, holm, role_of
from reports.statistics.levels import levels
from reports.statistics.samples import Sample, difference, samples
from tests.support.synthetic_scores import tidy_rows

SEEDS = (-1.0, 0.0, 1.0)


def sample(values, **changes):
    values_SC = np.asarray(values, dtype=float).reshape(len(values), -1)
    units = tuple(("0", str(i)) for i in range(len(values_SC)))
    names = tuple(f"c{i}" for i in range(values_SC.shape[1]))
    return Sample(**{"units": units, "categories": names, "values_SC": values_SC, **changes})


def test_holm_multiplies_the_smallest_probability_by_the_number_of_comparisons():
    found = holm({"a": 0.01, "b": 0.02, "c": 0.3, "d": math.nan})
    assert found == pytest.approx({"a": 0.03, "b": 0.04, "c": 0.3})


@given(
    st.lists(st.floats(0, 0.3), min_size=1, max_size=8),
    st.floats(0.0005, 0.05),
    st.booleans(),
)
def test_with_the_same_units_and_spread_no_nearer_method_is_excluded_beside_a_tie(
    gaps, spread, lower
):
    """Each method is behind by its gap, with the same spread over the same seeds: verdicts follow the gaps."""
    best = np.array([0.5, 0.5, 0.5])
    sign = 1 if lower else -1
    named = {"best": sample(best)}
    named |= {
        f"m{i}": sample(best + sign * (gap + 1e-6) + spread * np.array(SEEDS))
        for i, gap in enumerate(gaps)
    }
    found = against_best(named, lower=lower)
    verdicts = [found[f"m{i}"].verdict for i in np.argsort(gaps, kind="stable")]
    assert "apart" not in verdicts
    assert verdicts == sorted(verdicts, key=["tie", "behind"].index)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=6))
def test_a_nearer_method_beyond_chance_beside_a_farther_tie_is_always_called_apart(values):
    named = {f"m{i}": sample(line) for i, line in enumerate(values)}
    found = against_best(named)
    means = {name: each.value for name, each in named.items()}
    ties = [means[name] for name, each in found.items() if each.verdict == "tie"]
    for name, each in found.items():
        if each.verdict == "behind":
            assert all(means[name] <= value for value in ties)
        if each.verdict == "apart":
            assert any(means[name] >= value for value in ties)
    assert [each.verdict for each in found.values()].count("best") == 1


def test_pairing_finds_what_differs_less_than_seeds_do():
    one = np.linspace(0.5, 0.9, 6)
    steady = against_best({"a": sample(one), "b": sample(one - 0.001 - 1e-5 * np.arange(6))})
    assert steady["b"].verdict == "behind"
    shuffled = against_best({"a": sample(one), "b": sample(one[::-1] - 0.001)})
    assert shuffled["b"].verdict == "tie"


def test_one_seed_tests_nothing_unless_categories_can_be_drawn():
    few = {"a": sample([[0.9, 0.8]]), "b": sample([[0.5, 0.4]])}
    assert role_of(few) == "fixed"
    assert against_best(few)["b"].verdict == "untested"
    many = {"a": sample([[0.9, 0.8, 0.9, 0.7, 0.8]]), "b": sample([[0.5, 0.4, 0.4, 0.3, 0.3]])}
    assert role_of(many) == "drawn"
    assert against_best(many)["b"].verdict == "behind"
    assert "unknown: the effect of other training seeds" in against_best(many)["b"].difference.unit


def test_a_memory_without_training_seed_has_its_value_at_every_seed():
    memory = sample([0.81], seedless=True)
    gap = difference(sample([0.80, 0.82, 0.84]), memory)
    assert gap.values_SC.ravel() == pytest.approx([-0.01, 0.01, 0.03])
    noises = Sample(
        units=(("0", "0"), ("1", "0")),
        categories=("c0",),
        values_SC=np.array([[0.8], [0.6]]),
        seedless=True,
    )
    network = Sample(
        units=(("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")),
        categories=("c0",),
        values_SC=np.array([[0.9], [0.8], [0.9], [0.8]]),
    )
    assert difference(network, noises).values_SC.ravel() == pytest.approx([0.1, 0.0, 0.3, 0.2])


def test_several_noise_seeds_are_the_units_and_their_trainings_are_averaged():
    units = tuple((str(n), str(s)) for n in range(3) for s in range(2))
    values = np.array([[1.0], [3.0], [4.0], [6.0], [6.0], [8.0]])
    found = Sample(units=units, categories=("c0",), values_SC=values).interval()
    assert found.df == 2
    assert found.error == pytest.approx(np.std([2, 5, 7], ddof=1) / np.sqrt(3))
    assert "3 noise seeds with several training seeds each" in found.unit


def test_families_have_their_own_best_and_one_correction():
    named = {
        "x": sample([0.5, 0.5, 0.6]),
        "x+": sample([0.6, 0.7, 0.7]),
        "y": sample([0.9, 0.9, 0.95]),
        "y+": sample([0.8, 0.7, 0.8]),
    }
    found = against_best(named, family=lambda name: name[0])
    assert [found[name].verdict == "best" for name in named] == [False, True, True, False]
    assert found["y+"].adjusted == pytest.approx(
        max(2 * found["y+"].difference.p, found["x"].difference.p)
        if found["y+"].difference.p < found["x"].difference.p
        else max(found["y+"].difference.p, 2 * found["x"].difference.p)
    )


def test_tables_have_a_row_per_method_with_its_unit():
    rows = pd.DataFrame(
        tidy_rows([[0.9, 0.8], [0.8, 0.8], [0.9, 0.9]], method="a")
        + tidy_rows([[0.7, 0.8], [0.6, 0.8], [0.8, 0.79]], method="b")
    )
    found = levels(rows)
    assert list(found["method"]) == ["a", "b"]
    assert (found["low"] < found["value"]).all()
    assert (found["high"] <= 1).all()
    assert set(found["unit"]) == {
        "95 % interval over 3 training seeds; fixed: 2 categories, test images; "
        "unknown: the effect of other noise seeds"
    }
    gaps = differences(rows).set_index("method")
    assert list(gaps["verdict"]) == ["best", "behind"]
    assert gaps.loc["b", "difference"] == pytest.approx(-0.1017, abs=1e-3)
    assert (
        differences(rows, categories="drawn")["unit"].str.contains("2 categories with their").all()
    )


def test_a_unit_that_lacks_a_category_is_left_out():
    rows = pd.DataFrame(tidy_rows([[0.9, 0.8], [0.8, 0.8], [0.9, 0.9]]))
    missing = rows[~((rows["seed"] == "1") & (rows["category"] == "c1"))]
    assert samples(missing)["m"].units == (("0", "0"), ("0", "2"))
    assert samples(missing, category="c0")["m"].values_SC.shape == (3, 1)
