"""Captions say where less was done than requested."""

import pandas as pd
import pytest

from reports.pages.shortfalls import fewer
from tests.reports.test_own_data import ONE, experiments
from tests.support.tracked_rows import tracked_rows


@pytest.fixture(scope="module")
def rows():
    return tracked_rows(experiments("rho", ONE, 3), categories=ONE)


def test_a_complete_study_has_nothing_to_say(rows):
    assert fewer(rows) == ""


def test_a_mean_over_fewer_seeds_says_so(rows):
    lost = (rows["detector"] == "MeDS") & (rows["noise.ratio"] == "0.4") & (rows["seed"] == "2")
    assert fewer(rows[~lost]) == " Means of fewer seeds: MeDS at noise 40% (2 of 3)."


def test_a_method_without_a_result_at_a_noise_ratio_is_named(rows):
    lost = (rows["detector"] == "PlainNetwork") & (rows["noise.ratio"] == "0.1")
    assert fewer(rows[~lost]) == " Without a result: plain network at noise 10%."


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
