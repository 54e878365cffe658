"""Numbered tables: every published cell once, the paper's marks from its numbers, other data in its form, footnotes."""

import functools

import pandas as pd
import pytest

from harness.errors import NoResultError
from reports import ablation, ablation_inp_former, rho
from reports.pages.captions import MEMORY_ALONE
from reports.pages.files import write
from reports.pages.page import render
from reports.pages.provenance import Provenance
from reports.published.cells import AXES, layout
from reports.published.index import FIGURES, TABLES
from reports.published.paper import DATASETS, KINDS, METRICS, RENAMED, published
from reports.published.tables import Results, make
from reports.tables.cells import to_html, to_latex, to_markdown
from reports.tables.labels import NETWORK_TITLES, TITLES

PIXELS = {"MVTecAD": "table-7", "VisA": "table-15", "Real-IAD": "table-23"}
DETECTORS = {RENAMED.get(title, title): kind for kind, title in TITLES.items()}
NETWORKS = {RENAMED.get(title, title): kind for kind, title in NETWORK_TITLES.items()}
STAGES = {
    "Baseline": {"detector": "PlainNetwork", "detector.network.discard": "0.9"},
    "Memory ensemble": {"detector": "MemoryDetector"},
    "Memory only": {"detector": "MemoryDetector"},
    "Distilled model": {"detector": "MeDS", "detector.finetuning": "None"},
    "Fine-tuned with memory": {"detector": "MeDS", "detector.distillation": "None"},
    "Random init fine-tune": {"detector": "MeDS", "detector.start": "random"},
    "MeDS (ours)": {"detector": "MeDS"},
}
MODULES = {
    "none": "False False",
    "NMFE": "True False",
    "ATDR": "False True",
    "NMFE+ATDR": "True True",
}


def settings(method):
    """Parameters of a run of a published method or stage."""
    if method in STAGES:
        return STAGES[method]
    if method in (*MODULES, "AD2"):
        nmfe, atdr = MODULES.get(method, "True True").split()
        switches = {"detector.nmfe": nmfe, "detector.atdr": atdr}
        return {"detector": "AD2", "detector.student.batch_size": "8", **switches}
    network, with_meds, _ = method.partition("+MeDS")
    if network in NETWORKS:
        return {
            "detector": "MeDS" if with_meds else "PlainNetwork",
            "detector.network": NETWORKS[network],
        }
    return {"detector": DETECTORS[method]}


def tracked(cells):
    """Tracked results, as the tracker gives them, whose numbers are published ones."""
    kinds = {name: kind for kind, name in DATASETS.items()}
    metrics = {name: metric for metric, name in METRICS.items()}
    of_kind = {kind: metric for metric, kind in KINDS.items()}
    rows = [
        {
            "dataset": kinds[cell.dataset],
            "noise.ratio": str(cell.noise / 100),
            "noise.seed": "0",
            "noise.protocol": "meds",
            "seed": "0",
            "evaluation.size": "256",
            "evaluation.mask_rule": "half",
            "readout": "training" if cell.metric in ("AUPRC", "inspection-depth") else "all",
            "metric": of_kind.get(cell.category, metrics[cell.metric]),
            "category": "mean" if cell.category in of_kind else cell.category,
            "value": cell.value / (1 if cell.unit == "fraction" else 100),
            "run_id": f"{cell.method} {cell.noise}",
            **settings(cell.method),
        }
        for cell in cells.itertuples()
        if cell.category != "std"
    ]
    return pd.DataFrame(rows)


def results(rows, study="mvtec_ad", profile="mvtec_ad"):
    runs = pd.DataFrame({"run_id": rows["run_id"].unique(), "name": "", "status": "FINISHED"})
    runs = runs.assign(seconds=1.0, failure="", git="f00")
    where = Provenance(runs=runs, server=None, database="", samples=())
    return Results(study, profile, rows, where)


def of_paper(name):
    """Results that are the published numbers of a table; of all categories, as one of its data's pixel tables has."""
    cells = layout(TABLES[name])
    if TABLES[name].source == "ad2":
        every = [cells, layout(TABLES["table-ad2-1"]), layout(TABLES["table-ad2-2"])]
        cells = pd.concat(every).drop_duplicates(AXES)
    elif set(cells["category"]) == {"mean"}:
        others = layout(TABLES[PIXELS[cells["dataset"].iloc[0]]])
        cells = pd.concat([cells, others[others["category"] != "mean"]])
    return results(tracked(cells))


def drawn(name, found):
    return make(name, TABLES[name], lambda study: found)


@functools.cache
def paper_document(name):
    return drawn(name, of_paper(name))


def cells_of(document):
    """Cells of the first table by the texts of their row and column."""
    frame = document.tables[0].frame
    return {
        (line[0], *(column if isinstance(column, tuple) else (column,))): cell
        for line in frame.itertuples(index=False)
        for column, cell in zip(frame.columns[1:], line[1:], strict=True)
    }


def test_every_number_has_a_report():
    assert list(FIGURES) == [f"figure-{number}" for number in range(2, 9)]
    numbers = [*range(1, 31), *(f"ad2-{number}" for number in range(1, 5))]
    assert sorted(TABLES) == sorted(f"table-{number}" for number in numbers)


def test_every_published_cell_is_in_one_table_once():
    layouts = [layout(table) for table in TABLES.values() if table.source == "paper"]
    assert len(published()) == sum(map(len, layouts))
    for cells in layouts:
        assert not cells.duplicated(AXES).any()


@pytest.mark.parametrize("number", [1, 3, 5, 12, 15, 30, "ad2-1", "ad2-2", "ad2-3", "ad2-4"])
def test_every_published_number_stands_once_in_its_table_below_ours(number):
    name = f"table-{number}"
    shown = cells_of(paper_document(name)).values()
    pairs = [pair for cell in shown for pair in zip(cell.ours, cell.published, strict=False)]
    printed = [text for _, text in pairs if text != "–"]
    assert sorted(printed) == sorted(layout(TABLES[name])["printed"])
    for number, text in pairs:
        assert (str(number) == text == "–") or float(number.text) == pytest.approx(
            float(text), abs=0.06
        )


def marked(document):
    """Row, columns and texts of bold and of underlined numbers."""
    cells = [(place, number) for place, cell in cells_of(document).items() for number in cell.ours]
    bold = {(*place, number.text) for place, number in cells if number.best}
    return bold, {(*place, number.text) for place, number in cells if number.best_baseline}


def test_the_main_tables_are_marked_as_their_captions_say():
    """Bold: the better of baseline and MeDS; underlined: the best noisy baseline. Lost pairs were counted by hand."""
    lost = {}
    for name in ("table-1", "table-2"):
        bold, underlined = marked(paper_document(name))
        assert len(bold) == 3 * 4 * 4
        plain = [place for place in bold if not place[0].endswith("+MeDS")]
        lost[name] = [
            sum(noisy == (place[2] != "0%") for place in plain) for noisy in (False, True)
        ]
        if name == "table-1":
            best = {place[2:] for place in underlined if place[1] == "I-AUROC ↑"}
            assert best == {("0%", "98.80"), ("10%", "98.10"), ("20%", "96.89"), ("40%", "97.70")}
            assert ("FUN-AD", "P-AUPRO ↑", "20%", "78.21") in underlined
            assert len(underlined) == 16
    assert lost == {"table-1": [9, 0], "table-2": [10, 9]}


def test_the_other_tables_have_the_best_in_bold():
    bold, _ = marked(paper_document("table-3"))
    lost = {place for place in bold if place[0] != "Dinomaly+MeDS"}
    assert len(bold) == 16
    assert len(lost) == 7
    assert ("SoftPatch", "I-AP ↑", "10%", "85.92") in lost
    stages, underlined = marked(paper_document("table-4"))
    assert ("Baseline", "I-AUROC ↑", "0%", "99.64") in stages
    assert ("Fine-tuned with memory", "P-AUPRO ↑", "0%", "94.80") in stages
    assert ("MeDS (ours)", "I-AUROC ↑", "40%", "99.16") in stages
    assert not underlined  # there is one baseline


def test_of_inspection_depths_the_smaller_is_bold():
    bold, _ = marked(paper_document("table-30"))
    depths = {
        place[:4] for place in bold if place[1] == "inspection-depth ↓" and place[0] != "mean"
    }
    plain = {(category, noise) for category, _, noise, method in depths if method == "Dinomaly"}
    better = {(category, noise) for category, _, noise, method in depths if method != "Dinomaly"}
    assert plain - better == {("grid", "20%"), ("grid", "40%"), ("zipper", "40%")}
    assert plain & better == {("zipper", "10%"), ("zipper", "20%")}


def test_contradictions_of_the_publications_are_footnotes():
    document = paper_document("table-12")
    cell = cells_of(document)["mean", "SoftPatch"]
    assert cell.published[0] == "93.5"
    mark = cell.marks[0]
    assert document.tables[0].footnotes[mark] == "Table 1 prints 93.58"
    assert f"(93.5<sup>{mark}</sup>/" in to_html(cell)
    assert "Published: caption says noise 20; rows are the 40 ones." in document.tables[0].caption
    assert len(document.tables[0].footnotes) == 2
    text = render(document)
    assert f"<sup>{mark}</sup> Table 1 prints 93.58." in text


def test_a_cell_looks_the_same_in_every_format():
    cell = cells_of(paper_document("table-1"))["SoftPatch", "I-AUROC ↑", "40%"]
    frame = pd.DataFrame({"x": [cell]})
    mark = cell.marks[0]
    assert to_html(cell) == f"93.58<br>(93.58<sup>{mark}</sup>)"
    assert f"93.58<br>(93.58<sup>{mark}</sup>)" in to_markdown(frame)
    latex = to_latex(frame, "x", {mark: "Table 12's mean row prints 93.5"})
    assert rf"\shortstack{{93.58\\(93.58\textsuperscript{{{mark}}})}}" in latex
    assert rf"\textsuperscript{{{mark}}} Table 12's mean row prints 93.5." in latex
    assert str(cell) == f"93.58 (93.58[{mark}])"


@pytest.mark.parametrize(
    ("name", "said"), [("table-3", True), ("table-22", True), ("table-1", False)]
)
def test_captions_beside_published_numbers_of_uniad_name_its_evaluator(name, said):
    caption = paper_document(name).tables[0].caption
    assert ("replaces an AUROC below .5 by 1 - AUROC" in caption) == said


@pytest.mark.parametrize("name", ["table-3", "table-22", "table-29"])
def test_captions_tell_contamination_by_protocol_from_the_official_lists_that_were_published(name):
    rows = of_paper(name).rows
    said = "Published: contaminated by the official noisy lists of Real-IAD; ours: by the protocol meds."
    drawn_lists = rows.assign(**{"dataset.lists": "realiad_jsons"})
    assert said in drawn(name, results(drawn_lists)).tables[0].caption
    official = rows.assign(**{"dataset.lists": "realiad_jsons_fuiad_0.4"})
    assert "official" not in drawn(name, results(official)).tables[0].caption
    assert "official" not in paper_document("table-12").tables[0].caption


@pytest.fixture
def tiles():
    """Our own data at two noise ratios, two seeds of MeDS and one of SoftPatch and of a method the paper has not."""
    cells = layout(TABLES["table-8"]).query("category in ('carpet', 'mean') and method in @OWN")
    cells = pd.concat([cells, cells.assign(noise=0)])
    rows = tracked(cells).assign(dataset="MagneticTile")
    other = rows[rows["detector"] == "SoftPatch"].assign(detector="PatchCore")
    again = rows[rows["detector"] == "MeDS"].assign(seed="1", run_id="again")
    again["value"] -= 0.1
    return results(pd.concat([rows, again, other], ignore_index=True), "baselines", "mtd")


OWN = ("SoftPatch", "Dinomaly+MeDS")


def test_captions_with_the_memory_alone_say_how_its_release_scores_it():
    for name in ("table-4", "table-5"):
        assert MEMORY_ALONE in paper_document(name).tables[0].caption
    assert "banks of 10 %" not in paper_document("table-1").tables[0].caption
    for study in (ablation, ablation_inp_former, rho):
        assert MEMORY_ALONE in study.CAPTION


def test_other_data_has_its_own_categories_and_noise_ratios_and_nothing_published(tiles):
    document = drawn("table-1", tiles)
    cells = cells_of(document)
    assert {place[2] for place in cells} == {"0%", "10%"}
    assert not any(cell.published for cell in cells.values())
    assert str(cells["Dinomaly+MeDS", "I-AUROC ↑", "10%"]) == "94.50 ± 7.07"
    assert {str(cell) for place, cell in cells.items() if place[0] == "HVQ"} == {"–"}
    assert (
        "Left out, because the paper's table omits them: PatchCore." in document.tables[0].caption
    )
    assert "MagneticTile (1 category)" in document.tables[0].caption
    by_category = drawn("table-8", tiles)
    assert list(by_category.tables[0].frame["category"]) == ["carpet"]


def test_a_table_at_a_noise_ratio_that_was_not_run_says_how_to_run_it(tiles):
    with pytest.raises(NoResultError, match=r'PROFILE=mtd ARGS="--noise 0 0\.02 0\.1"') as error:
        drawn("table-16", tiles)
    assert "at noise 2%" in str(error.value)


def test_numbers_come_from_the_first_study_that_has_any(tiles):
    asked = []

    def load(study):
        asked.append(study)
        if study == "visa":
            raise NoResultError("No.", "make sweep-visa")
        return tiles

    assert "From the study baselines." in make("table-2", TABLES["table-2"], load).caption
    assert asked == ["visa", "baselines"]


def test_means_over_part_of_the_categories_are_not_held_against_published_ones():
    found = of_paper("table-8")
    part = results(found.rows[found.rows["category"] != "zipper"])
    assert not any(cell.published for cell in cells_of(drawn("table-8", part)).values())


def test_a_table_is_written_in_every_format_with_its_numbers_as_csv(tmp_path):
    document = paper_document("table-12")
    assert write(document, tmp_path / "x") == [".html", ".csv", ".md", ".tex"]
    table = pd.read_csv(tmp_path / "x.csv", dtype={"category": str})
    row = table.query("category == 'mean' and metric == 'I-AUROC' and method == 'SoftPatch'").iloc[
        0
    ]
    assert (row["ours"], row["published"]) == (pytest.approx(93.5), 93.5)
    assert "T1 prints 93.58" in row["note"]
    assert len(table) == 432
