"""Robustness by hand: area, slope, loss, worst ratio, cost without noise and crossing, with paired intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics.robustness import area_weights, first_below, robustness, slope_weights
from tests.support.synthetic_scores import tidy_rows

SHARES = {0.0: 0.0, 0.2: 1 / 6, 0.4: 2 / 7}
CURVES = {"free": ("PatchCore", [0.95, 0.7, 0.5]), "net": ("MeDS", [0.85, 0.8, 0.75])}


def results(curves=CURVES, spread=(0.0,)):
    rows = []
    for noise, share in SHARES.items():
        place = list(SHARES).index(noise)
        for name, (detector, values) in curves.items():
            line = [[values[place] + each] for each in spread]
            rows += tidy_rows(line, method=name, detector=detector, noise=noise)
        counts = tidy_rows([[share]], method="net", metric="contamination", noise=noise)
        rows += [row | {"readout": "data"} for row in counts]
    return pd.DataFrame(rows)


def test_numbers_of_a_curve_by_hand():
    found = robustness(results()).set_index("method")
    net = found.loc["net"]
    area = ((0.85 + 0.8) / 2 / 6 + (0.8 + 0.75) / 2 * (2 / 7 - 1 / 6)) / (2 / 7)
    assert net["area"] == pytest.approx(area)
    slope = np.polyfit(list(SHARES.values()), [0.85, 0.8, 0.75], 1)[0] / 10
    assert net["slope"] == pytest.approx(slope)
    assert net["loss"] == pytest.approx(0.1)
    assert net["clean_cost"] == pytest.approx(0.1)
    assert found.loc["free", "clean_cost"] == pytest.approx(-0.1)
    assert (net["worst"], net["worst_noise"]) == (0.75, 0.4)
    assert net["kept"] == pytest.approx(0.75 / 0.85)
    assert (net["from"], net["to"]) == (0, pytest.approx(2 / 7))


def test_rivals_train_nothing_and_compare_no_test_images():
    higher = {
        **CURVES,
        "MuSc (transductive)": ("MuSc", [0.99, 0.99, 0.99]),
        "another net": ("MeDS", [0.98, 0.98, 0.98]),
        "a memory of a plug-in": ("MyMemory", [0.96, 0.6, 0.4]),
    }
    found = robustness(results(higher)).set_index("method").loc["net"]
    assert (found["below_at"], found["rival"]) == (0.0, "a memory of a plug-in")


def test_a_network_below_the_best_memory_without_noise_is_below_from_the_start():
    found = robustness(results()).set_index("method").loc["net"]
    assert (found["below_at"], found["rival"]) == (0.0, "free")
    falling = {"free": ("PatchCore", [0.8, 0.7, 0.5]), "net": ("MeDS", [0.85, 0.6, 0.4])}
    found = robustness(results(falling)).set_index("method").loc["net"]
    assert found["below_at"] == pytest.approx(1 / 6 * 0.05 / 0.15)
    never = {"free": ("PatchCore", [0.8, 0.7, 0.5]), "net": ("MeDS", [0.85, 0.8, 0.7])}
    assert np.isnan(robustness(results(never)).set_index("method").loc["net", "below_at"])


def test_an_interval_of_the_loss_is_paired_over_noise_ratios():
    """All ratios of a seed are shifted alike, so the loss does not vary, and the area varies as a value does."""
    found = robustness(results(spread=(-0.02, 0.0, 0.01))).set_index("method").loc["net"]
    assert found["loss_high"] - found["loss_low"] == pytest.approx(0, abs=1e-12)
    assert found["area_high"] - found["area_low"] > 0.02
    assert found["below_surely_at"] == 0.0
    assert "3 training seeds" in found["unit"]


def test_one_seed_has_numbers_without_intervals():
    found = robustness(results()).set_index("method").loc["net"]
    assert np.isnan(
        found[["area_low", "slope_low", "loss_low", "below_surely_at"]].astype(float)
    ).all()
    assert found["unit"].startswith("no interval")


def test_clean_results_begin_the_curve_of_unseen_anomalies():
    rows = results()
    unseen = rows[(rows["noise"] > 0) & (rows["readout"] == "all")].assign(readout="unseen")
    found = robustness(pd.concat([rows, unseen], ignore_index=True))
    net = found[found["method"] == "net"].set_index("readout")
    assert net.loc["unseen", "area"] == net.loc["all", "area"]


@given(st.lists(st.floats(0, 0.5), min_size=2, max_size=6, unique=True))
def test_a_constant_has_its_value_as_area_and_no_slope(shares):
    ordered = tuple(sorted(shares))
    assert area_weights(ordered).sum() == pytest.approx(1)
    assert slope_weights(ordered).sum() == pytest.approx(0, abs=1e-6)


def test_the_slope_of_a_line_is_its_slope():
    shares = (0.0, 0.05, 0.2, 0.3)
    assert slope_weights(shares) @ (0.9 - 0.5 * np.array(shares)) == pytest.approx(-0.05)


def test_a_gap_that_is_never_negative_has_no_crossing():
    found, place = first_below((0.0, 0.1), [0.1, 0.0])
    assert np.isnan(found)
    assert place is None
