"""Captions say where less was done than requested."""

import pandas as pd
import pytest

from reports.pages.shortfalls import fewer
from tests.reports.test_own_data import ONE, STUDIES, experiments
from tests.support.tracked_rows import tracked_rows

WITHOUT = " Without a result, as experiments failed or the study has none: "


@pytest.fixture(scope="module")
def rows():
    return tracked_rows(experiments("rho", ONE, 3), categories=ONE)


@pytest.mark.parametrize("study", [name for name in STUDIES if name != "loco"])
def test_a_complete_study_has_no_shortfall(study):
    assert fewer(tracked_rows(experiments(study, ONE, 3), categories=ONE)) == ""


def test_a_study_that_runs_some_methods_at_one_noise_ratio_names_the_others():
    """Results alone do not tell an experiment that failed from one that is not part of the study."""
    cells = experiments("loco", ONE, 3, noises=(0.0, 0.1, 0.4))
    text = fewer(tracked_rows(cells, categories=ONE))
    assert text.startswith(f"{WITHOUT}InReaCh at noise 0%, InReaCh at noise 40%")


def test_a_mean_over_fewer_seeds_says_so(rows):
    lost = (rows["detector.title"] == "MeDS") & (rows["noise.ratio"] == "0.4")
    lost &= rows["seed"] == "2"
    assert fewer(rows[~lost]) == " Means of fewer seeds: MeDS at noise 40% (2 of 3)."


def test_a_method_without_a_result_at_a_noise_ratio_is_named(rows):
    lost = (rows["detector"] == "PlainNetwork") & (rows["noise.ratio"] == "0.4")
    assert fewer(rows[~lost]) == f"{WITHOUT}plain network at noise 40%."


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("coreset_patches", "Coreset patches fewer than requested, because too few patches pass"),
        ("passes_without_threshold", "Training passes without a usable threshold"),
        ("spare_parts", "spare parts, fewer than requested"),
    ],
)
def test_recorded_shortfalls_stand_with_their_method_and_noise(rows, metric, said):
    at = (rows["detector"] == "MeDS") & (rows["noise.ratio"] == "0.4")
    recorded = rows[at].iloc[:2].assign(readout="shortfall", metric=metric, value=[3.0, 7.0])
    text = fewer(pd.concat([rows, recorded], ignore_index=True))
    assert text.startswith(f" {said}")
    assert text.endswith(": MeDS at noise 40% (3 to 7).")


def test_categories_with_unmasked_defects_are_named(rows):
    recorded = rows.iloc[:1].assign(readout="shortfall", metric="defects_without_mask", value=4.0)
    text = fewer(pd.concat([rows, recorded], ignore_index=True))
    assert text == " Defective images without a mask, which pixel metrics leave out: bolt (4)."
