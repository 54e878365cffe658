"""Tables and figure of decisions, from rows whose values are known; runs of earlier versions have none."""

import pandas as pd
import pytest

from baselines.patchcore import PatchCore
from harness.detectors import MemoryDetector
from harness.memory import MemoryEnsemble
from reports import thresholds
from reports.pages.lookups import lookups
from reports.tables.decisions import (
    MOST,
    decision_table,
    decisions,
    defect_table,
    image_table,
)
from reports.tables.measured import measured
from sweeps.profiles import PROFILES
from sweeps.thresholds import SEEDS, experiments
from tests.support.tracked_rows import tracked_rows

LAPTOP = PROFILES["laptop"]
NO_SCORES = pd.DataFrame()


@pytest.fixture(scope="module")
def rows():
    return measured(tracked_rows(experiments(LAPTOP), categories=("a", "b")))


@pytest.fixture
def early(rows):
    """The same rows as a version without thresholds stored them."""
    return rows[~rows["metric"].str.contains(".", regex=False) & (rows["readout"] != "defect")]


def test_a_row_is_the_mean_over_the_seeds_of_a_method_at_a_noise_ratio(rows):
    table = decision_table(rows)
    picked = (table["method"] == "PatchCore") & (table["noise"] == "20%")
    (row,) = table[
        picked & (table["rule"] == "95 % quantile") & (table["read-out"] == "all")
    ].to_dict("records")
    own = rows[(rows["detector"] == "PatchCore") & (rows["noise.ratio"] == "0.2")]
    own = own[(own["readout"] == "all") & (own["category"] == "mean")]
    means = own.groupby("metric")["value"].mean()
    assert row["recall"] == pytest.approx(means["recall.quantile_95.left_out"])
    assert row["image AUROC"] == pytest.approx(means["image_auroc"])
    assert row["scores behind it"] == "training, image left out"
    assert len(row["runs"].ids) == len(SEEDS)


def test_settings_that_differ_are_rows_of_their_own():
    cells = [
        LAPTOP.experiment(MemoryDetector(memory=MemoryEnsemble(ratio=ratio)), 0.1, seed=seed)
        for ratio in (0.1, 0.5)
        for seed in (0, 1)
    ]
    found = decisions(measured(tracked_rows([*cells, LAPTOP.experiment(PatchCore(), 0.1)])))
    assert set(found["method"]) == {
        "memory ensemble, ratio 0.1",
        "memory ensemble, ratio 0.5",
        "PatchCore",
    }


def test_kinds_of_defect_have_their_own_columns(rows):
    table = defect_table(rows)
    assert list(table) == [
        *("noise", "method", "category", "defect", "images", "seen in training", "image AUROC"),
        "recall, 95 % quantile",
    ]
    assert set(table["defect"]) == {"hole"}
    assert len(table) == table["method"].nunique() * table["noise"].nunique() * 2


def test_a_long_table_keeps_the_highest_noise_ratio():
    many = tuple(f"category {i}" for i in range(MOST // 4))
    table = defect_table(measured(tracked_rows(experiments(LAPTOP)[:12], categories=many)))
    assert set(table["noise"]) == {"40%"}


def test_images_show_the_decision_of_whatever_scores_a_rule_had():
    scores = pd.DataFrame(
        {
            "experiment": ["memory", "network"],
            "image": ["x.png", "x.png"],
            "category": ["a", "a"],
            "anomalous": [True, True],
            "score": [0.25, 0.5],
            "defect": ["hole", None],
            "seen": pd.array([True, None], dtype="boolean"),
            "mad_3.left_out": pd.array([False, None], dtype="boolean"),
            "mad_3.fitted": pd.array([None, True], dtype="boolean"),
        }
    )
    assert image_table(scores).values.tolist() == [
        ["memory", "x.png", "a", "hole", "seen", 0.25, ""],
        ["network", "x.png", "a", "", "", 0.5, "anomalous"],
    ]
    assert len(image_table(pd.concat([scores] * MOST))) == MOST


def test_runs_of_earlier_versions_have_no_row_and_no_error(early):
    assert decision_table(early).empty
    assert defect_table(early).empty
    assert thresholds.shown(early).empty
    assert lookups(early, NO_SCORES) == ()


def test_the_figure_has_a_panel_per_method_and_measure_and_a_line_per_rule(rows):
    figure = thresholds.draw(rows)
    panels = [axes for axes in figure.axes if axes.lines]
    assert len(panels) == 2 * 4
    for axes in panels:
        assert [line.get_label() for line in axes.lines] == [
            "95 % quantile",
            "F1-max (needs labels)",
        ]
    own = rows[(rows["metric"] == "recall.quantile_95.left_out") & (rows["category"] == "mean")]
    own = own[(own["readout"] == "all") & (own["detector"] == "MeDS")]
    expected = own.assign(noise=own["noise.ratio"].astype(float)).groupby("noise")["value"].mean()
    lines = [axes.lines[0].get_ydata() for axes in panels]
    assert any(line == pytest.approx(expected.to_numpy()) for line in lines)


def test_nothing_is_drawn_where_nothing_is_contaminated_and_memories_have_no_seed():
    cells = experiments(LAPTOP)
    clean = [cell for cell in cells if cell.noise.ratio == 0]
    assert {cell.noise.seed for cell in clean} == {0}
    assert sum(isinstance(cell.detector, MemoryDetector) for cell in clean) == 1
    noisy = [cell for cell in cells if cell.noise.ratio > 0]
    assert {cell.noise.seed for cell in noisy} == set(SEEDS)
    assert len({cell.key for cell in cells}) == len(cells)
