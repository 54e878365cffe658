"""The course of a search: determined by its seed and its results, whatever takes how long."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cluster.search_order import SearchActor
from harness.cluster.search_trial import merit_of
from harness.experiment.search import Grid, Range, Search
from tests.support.search_course import play

SPACE = {"x": Range(low=0.1, high=10, logarithmic=True), "g": Grid(values=(1.0, 2.0, 4.0))}
START = tuple({"x": x, "g": g} for x, g in ((1.0, 2.0), (0.3, 1.0), (4.0, 4.0), (9.0, 1.0)))
SEARCH = Search(
    space=SPACE,
    start=START,
    experiments=lambda setting, rung: [],
    objective=("all", "image_auroc"),
    shared=(),
    settings=12,
)


def objective(setting, rung):
    """A hill at x = 2 and g = 2, whose foot is lower on higher rungs."""
    return math.exp(-(math.log(setting["x"] / 2) ** 2) - (setting["g"] - 2) ** 2) - rung


def course(tried):
    return [(each.setting, each.values) for each in tried]


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_the_course_does_not_depend_on_what_takes_how_long(seed):
    chance = random.Random(seed)
    assert course(play(SEARCH, objective, chance.choice)) == course(play(SEARCH, objective))


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sets(st.integers(0, 11), max_size=5))
def test_failures_end_their_setting_and_nothing_else(seed, failing):
    chance, known = random.Random(seed), course(play(SEARCH, objective))
    broken = [setting for number, (setting, _) in enumerate(known) if number in failing]

    def breaks(setting, rung):
        return None if setting in broken else objective(setting, rung)

    tried = play(SEARCH, breaks, chance.choice)
    assert course(tried) == course(play(SEARCH, breaks))
    assert all(not each.values for each in tried if each.setting in broken)
    assert len(tried) == SEARCH.settings


def test_the_first_setting_climbs_to_the_top_and_bad_ones_stop_at_the_first_rung():
    tried = play(SEARCH, objective)
    assert [each.setting for each in tried[:4]] == [*START]
    assert len(tried[0].values) == 3
    assert [len(each.values) for each in tried[1:4]] == [1, 1, 1]  # the first is the best of four
    worst = min(tried, key=lambda each: each.values[0])
    assert len(worst.values) == 1


def test_suggestions_come_close_to_the_best():
    """TPE's settings are better than those of the start, and its last ones use all results before."""
    found = [objective(each.setting, 0) for each in play(SEARCH, objective)]
    assert max(found[4:]) > max(found[:4])
    other = play(SEARCH, lambda setting, rung: -objective(setting, rung))
    assert [each.setting for each in other[:4]] == [*START]
    assert [each.setting for each in other[4:]] != [
        each.setting for each in play(SEARCH, objective)[4:]
    ]


def test_a_rung_that_only_tests_suggests_and_stops_nothing():
    search = Search(**{**vars(SEARCH), "judged": 2})
    first = play(search, lambda setting, rung: objective(setting, rung) if rung < 2 else 0.0)
    other = play(search, lambda setting, rung: objective(setting, rung) if rung < 2 else rung)
    assert course(first) == course(other)
    assert any(len(each.values) == 3 for each in first)


def test_experiments_take_no_more_slots_than_there_are():
    actor = SearchActor(settings=2, batch=2, slots=2)
    assert actor.take(0, "0/0/0")
    assert actor.take(0, "0/0/1")
    assert not actor.take(1, "1/0/0")
    actor.free(0, "0/0/1")
    assert actor.take(1, "1/0/0")
    assert not actor.take(1, "1/0/1")
    actor.end(0)  # also of a setting whose process died with its slots
    assert actor.take(1, "1/0/1")


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-1e6, 1e6)), min_size=2, max_size=2))
def test_merit_orders_by_rung_first(results):
    (rung, value), (other, lower) = sorted(results, reverse=True)
    if rung > other:
        assert merit_of(rung, value) > merit_of(other, lower)
    else:
        assert merit_of(rung, value) >= merit_of(other, lower)


def test_a_limit_takes_settings_from_the_start():
    assert SEARCH.limited(None) == SEARCH.limited(99) == SEARCH
    assert (SEARCH.limited(2).settings, SEARCH.limited(2).start) == (2, START[:2])
    assert (SEARCH.limited(6).settings, SEARCH.limited(6).start) == (6, START)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_decides_what_is_suggested_after_the_start(seed):
    search = Search(**{**vars(SEARCH), "seed": seed})
    again, other = play(search, objective), play(SEARCH, objective)
    assert (course(again) == course(other)) == (seed == 0)
