"""Coverage of 95 % intervals on synthetic results with a known truth; `make bench ARGS=coverage` writes the table."""

import pytest

from tests.support.coverage import bootstraps, covered, scenarios

FAST = [s for s in scenarios() if s.variation not in ("marks",)]
MARKS = [s for s in scenarios() if s.variation == "marks"]


def title(scenario):
    return f"{scenario.variation}, {scenario.number}, {scenario.units}"


@pytest.mark.parametrize("scenario", FAST, ids=title)
def test_intervals_cover_the_truth(scenario):
    """With 200 draws, 95 % has a standard error of 1.5 %, so three errors are allowed."""
    share, width = covered(scenario, int(200 / scenario.cost) + 40, seed=3)
    assert share >= 0.89
    assert width > 0


@pytest.mark.slow
@pytest.mark.parametrize("scenario", FAST, ids=title)
def test_intervals_cover_the_truth_in_93_to_97_percent(scenario):
    """The error of the simulation, below 0.6 %, is allowed twice beyond both bounds."""
    share, _ = covered(scenario, int(4000 / scenario.cost), seed=4)
    assert 0.93 - 0.012 <= share <= 0.97 + 0.012


@pytest.mark.parametrize("scenario", MARKS, ids=title)
def test_the_best_method_is_among_the_best_and_the_ties(scenario):
    share, _ = covered(scenario, 150, seed=5)
    assert share >= 0.92


@pytest.mark.parametrize("scenario", list(bootstraps()), ids=title)
def test_the_percentile_bootstrap_of_three_seeds_covers_too_little(scenario):
    share, _ = covered(scenario, 300, seed=6)
    assert share < 0.9
