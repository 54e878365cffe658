"""Comparisons: marks by hand, what captions explain, one look in all formats."""

import numpy as np
import pandas as pd
import pytest

from reports.tables.cells import (
    APART,
    TIE,
    UNTESTED,
    NumberCell,
    Runs,
    to_html,
    to_latex,
    to_markdown,
)
from reports.tables.comparison import how_compared, summarise

METRICS = ("image_auroc", "image_ap", "pixel_aupro", "pixel_ap")


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
        NumberCell("81.0 ± 1.0", best_baseline=True, mark=TIE),
        NumberCell("81.0", mark=TIE),
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
    assert "The tests draw up to 3 training seeds. Categories and test images are fixed." in text
    assert "by chance one time in 4" in text
    alone = how_compared(named[named["seed"] == 0])
    assert "With one seed there is no spread. No test can then show" in alone
    assert TIE not in alone
    many = pd.DataFrame(rows("MeDS", "MeDS", [[0.8, 0.9, 0.7, 0.8, 0.9]]))
    assert "the tests draw 5 categories with their test images" in how_compared(many)


def test_a_method_that_shares_one_seed_with_the_best_is_marked_as_not_tested(named):
    other = pd.DataFrame(rows("InReaCh", "InReaCh", [[0.6]]))
    table = summarise(pd.concat([named, other]))
    found = table.query("method == 'InReaCh'")["image AUROC, %"].item()
    assert found == NumberCell("60.0", mark=UNTESTED)


def test_a_nearer_method_beyond_chance_is_marked_if_a_farther_one_is_a_tie():
    """The nearer method is behind by 1.0 with each seed, the farther one by 2.0 on average, but not with each."""
    found = [
        *rows("MeDS", "MeDS", [[0.80], [0.82], [0.84]]),
        *rows("PatchCore", "near", [[0.790], [0.809], [0.831]]),
        *rows("SoftPatch", "far", [[0.70], [0.85], [0.85]]),
    ]
    table = summarise(pd.DataFrame(found)).set_index("method")["image AUROC, %"]
    assert [cell.mark for cell in table] == ["", APART, TIE]


def test_one_seed_marks_no_tie_unless_there_are_enough_categories():
    few = [*rows("MeDS", "MeDS", [[0.8, 0.9]]), *rows("PatchCore", "PatchCore", [[0.8, 0.8]])]
    assert {cell.mark for cell in summarise(pd.DataFrame(few))["image AUROC, %"]} == {""}
    one, other = [0.8, 0.9, 0.7, 0.8, 0.9], [0.8, 0.8, 0.8, 0.7, 0.9]
    many = [*rows("MeDS", "MeDS", [one]), *rows("PatchCore", "PatchCore", [other])]
    assert [cell.mark for cell in summarise(pd.DataFrame(many))["image AUROC, %"]] == ["", TIE]


def test_a_mark_is_the_same_in_every_format():
    cells = pd.DataFrame(
        {
            "a_b": [
                NumberCell("82.0 ± 2.0", best=True, best_baseline=True),
                NumberCell("81.0", mark=TIE),
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
    assert r"81.0 $\neq$" in to_latex(pd.DataFrame({"a": [NumberCell("81.0", mark=APART)]}), "")


def test_tables_escape_what_their_format_would_read():
    table = pd.DataFrame({"a_b": ["50 %", "x & <y> |"], "value": [0.12345, None]})
    assert r"50 \% & 0.123 \\" in to_latex(table, "")
    assert r"x \& <y> | &  \\" in to_latex(table, "")
    assert r"x & <y> \|" in to_markdown(table)
    assert to_html(table["a_b"][1]) == "x &amp; &lt;y&gt; |"
    assert to_html(Runs(("ab", "cd"))) == '<a href="#run-ab">1</a> <a href="#run-cd">2</a>'
