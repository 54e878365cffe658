"""Comparisons: the interval against scipy and against every possible draw, marks by hand, one look in all formats."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap

from reports.tables.cells import NumberCell, Runs, to_html, to_latex, to_markdown
from reports.tables.comparison import how_compared, interval, is_tie, summarise

METRICS = ("image_auroc", "image_ap", "pixel_aupro", "pixel_ap")


def test_the_interval_over_seeds_is_scipys():
    differences = np.random.default_rng(1).normal(0.4, 1.0, size=40)
    theirs = bootstrap(
        (differences,),
        np.mean,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert interval(differences[:, None]) == pytest.approx(theirs, abs=0.02)
    assert interval(differences[None]) == pytest.approx(theirs, abs=0.02)


def test_the_interval_over_seeds_and_categories_is_that_of_all_draws():
    """Every one of the 4^4 x 3^3 possible draws has the same probability."""
    values_SC = np.random.default_rng(3).normal(size=(4, 3)) + np.array([0.0, 1.0, 4.0])
    rows = list(itertools.product(range(4), repeat=4))
    columns = list(itertools.product(range(3), repeat=3))
    means = [values_SC[np.ix_(row, column)].mean() for row in rows for column in columns]
    exact = np.quantile(means, [0.025, 0.975])
    assert interval(values_SC) == pytest.approx(exact, abs=0.05)


def frame(values):
    return pd.DataFrame(values, index=[str(seed) for seed in range(len(values))])


def test_a_difference_that_every_seed_has_is_no_tie_and_one_that_changes_sign_is():
    assert not is_tie(frame([[0.9], [0.7], [0.8]]), frame([[0.8], [0.6], [0.7]]))
    assert is_tie(frame([[0.9], [0.7], [0.8]]), frame([[0.8], [0.8], [0.7]]))


def test_pairing_tells_apart_what_differs_less_than_seeds_do():
    one = frame(np.linspace(0.5, 0.9, 12)[:, None])
    assert not is_tie(one, one - 0.001)
    assert is_tie(one, one[::-1].set_axis(one.index) - 0.001)


def test_nothing_is_claimed_from_one_seed_of_one_category():
    assert not is_tie(frame([[0.8]]), frame([[0.8]]))
    assert not is_tie(frame([[0.8], [0.7]]), frame([[0.8]]))


def rows(detector, method, values_SC, *, noise=0.2, readout="all"):
    """Tidy results of one method: the same values for all metrics."""
    found = []
    for seed, of_seed in enumerate(values_SC):
        cells = {f"c{i}": value for i, value in enumerate(of_seed)} | {"mean": np.mean(of_seed)}
        shared = {"detector": detector, "method": method, "noise": noise, "readout": readout}
        shared |= {"noise.seed": "0", "seed": seed, "run_id": f"{method}-{seed}"}
        found += [
            {**shared, "metric": metric, "category": category, "value": value}
            for metric in METRICS
            for category, value in cells.items()
        ]
    return found


@pytest.fixture
def named():
    """Three seeds; the second baseline ties with MeDS, the first is behind with every seed; the memory has one."""
    return pd.DataFrame(
        [
            *rows("MeDS", "MeDS", [[0.80], [0.82], [0.84]]),
            *rows("PatchCore", "PatchCore", [[0.70], [0.71], [0.72]]),
            *rows("SoftPatch", "SoftPatch", [[0.81], [0.80], [0.82]]),
            *rows("MemoryDetector", "memory", [[0.81]]),
            *rows("FunAD", "FUN-AD", [[0.99]], readout="oracle"),
        ]
    )


def test_the_best_the_best_baseline_and_ties_are_marked(named):
    table = summarise(named)
    assert list(table["method"]) == ["MeDS", "PatchCore", "SoftPatch", "memory"]
    assert list(table["image AUROC, %"]) == [
        NumberCell("82.0 ± 2.0", best=True),
        NumberCell("71.0 ± 1.0"),
        NumberCell("81.0 ± 1.0", best_baseline=True, tie=True),
        NumberCell("81.0", tie=True),
    ]
    assert table["runs"].iloc[0] == Runs(("MeDS-0", "MeDS-1", "MeDS-2"))


def test_only_what_has_the_same_noise_and_readout_is_compared(named):
    other = pd.DataFrame(rows("PatchCore", "PatchCore", [[0.99]], readout="unseen"))
    table = summarise(pd.concat([named, other]))
    assert table.query("method == 'MeDS'")["image AUROC, %"].item().best
    assert not table.query("`read-out` == 'unseen'")["image AUROC, %"].item().best


def test_the_caption_says_what_was_drawn_and_what_cannot_be_claimed(named):
    text = how_compared(named)
    assert "over up to 3 seeds" in text
    assert "The resampling units are seeds, drawn with replacement" in text
    assert "by chance one time in 4" in text
    alone = how_compared(named[named["seed"] == 0])
    assert "no spread, and seeds cannot establish a tie" in alone
    assert "bootstrap" not in alone
    two = pd.DataFrame(rows("MeDS", "MeDS", [[0.8, 0.9]]))
    assert "The resampling units are categories, drawn" in how_compared(two)


def test_a_mark_is_the_same_in_every_format():
    cells = pd.DataFrame(
        {
            "a_b": [
                NumberCell("82.0 ± 2.0", best=True, best_baseline=True),
                NumberCell("81.0", tie=True),
            ]
        }
    )
    assert "**<ins>82.0 ± 2.0</ins>**" in to_markdown(cells)
    assert "| 81.0 ≈" in to_markdown(cells)
    latex = to_latex(cells, "50 % of x_1")
    assert r"\textbf{\underline{82.0 $\pm$ 2.0}}" in latex
    assert r"81.0 $\approx$" in latex
    assert r"\caption{50 \% of x\_1}" in latex
    assert r"a\_b \\" in latex
    assert [to_html(cell) for cell in cells["a_b"]] == ["<b><u>82.0 ± 2.0</u></b>", "81.0 ≈"]


def test_tables_escape_what_their_format_would_read():
    table = pd.DataFrame({"a_b": ["50 %", "x & <y> |"], "value": [0.12345, None]})
    assert r"50 \% & 0.123 \\" in to_latex(table, "")
    assert r"x \& <y> | &  \\" in to_latex(table, "")
    assert r"x & <y> \|" in to_markdown(table)
    assert to_html(table["a_b"][1]) == "x &amp; &lt;y&gt; |"
    assert to_html(Runs(("ab", "cd"))) == '<a href="#run-ab">1</a> <a href="#run-cd">2</a>'
