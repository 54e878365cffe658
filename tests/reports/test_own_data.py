"""Reports on data as users have them: no masks, one category or several, one training seed or three."""

import functools
import importlib
from dataclasses import replace

import pandas as pd
import pytest

import sweeps
from harness.config.discovery import modules_of
from harness.errors import NoResultError
from reports.pages.document import of_results
from reports.pages.files import write
from reports.pages.provenance import Provenance
from reports.published.cells import layout
from reports.published.index import TABLES
from reports.published.tables import Results
from reports.published.tables import make as make_numbered
from reports.tables.measured import measured
from sweeps.launch.study_filter import StudyFilter
from sweeps.profiles.local import FOLDER
from tests.support.tracked_rows import tracked_rows

STUDIES = modules_of(sweeps)
NO_PIXELS = ("I-AUROC", "I-AP", "AUPRC", "inspection-depth")
ONE, SEVERAL = ("bolt",), ("bolt", "nut")


@functools.cache
def experiments(study, categories, seeds, noises=(0.0, 0.4)):
    """All experiments of a study on a user's images; a search chooses its experiments and its seed itself."""
    profile = replace(FOLDER, several_categories=len(categories) > 1, noise_ratios=noises)
    cells = profile.cells(importlib.import_module(f"sweeps.{study}").experiments(profile))
    return cells if study == "search" else StudyFilter(seed=tuple(range(seeds))).select(cells)


def provenance(rows):
    runs = pd.DataFrame({"run_id": rows["run_id"].unique(), "name": "", "status": "FINISHED"})
    runs = runs.assign(seconds=1.0, failure="", git="f00")
    return Provenance(runs=runs, server=None, database="", samples=())


def document(study, rows, **options):
    module = importlib.import_module(f"reports.{study}")
    return of_results(module, measured(rows), "folder", provenance(rows), **options)


def texts(table):
    return {str(column) for column in table.frame.columns}


@pytest.mark.parametrize(
    ("categories", "seeds"),
    [
        pytest.param(ONE, 1, id="one"),
        pytest.param(ONE, 3, id="one-seeds", marks=pytest.mark.slow),
        pytest.param(SEVERAL, 1, id="several", marks=pytest.mark.slow),
        pytest.param(SEVERAL, 3, id="several-seeds"),
    ],
)
@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.filterwarnings("error")
def test_every_study_draws_images_without_masks(study, categories, seeds, tmp_path):
    rows = tracked_rows(
        experiments(study, categories, seeds), categories=categories, masked=(), nan=seeds == 1
    )
    drawn = document(study, rows)
    if study == "theorem":  # only masks tell anomalous training patches from normal ones
        assert write(drawn, tmp_path / study) == [".html"]
        assert "masks" in drawn.caption
        return
    if seeds == 3 and categories == SEVERAL:  # drawing in every format is slow
        assert write(drawn, tmp_path / study) == [".html", ".png", ".svg", ".csv", ".md", ".tex"]
    assert all(len(table.frame) for table in drawn.tables)
    assert not {name for table in drawn.tables for name in texts(table) if "pixel" in name}
    assert not [axes for axes in drawn.figure.axes if "pixel" in axes.get_ylabel()]
    assert "no masks" in drawn.caption
    assert "pixels" not in drawn.caption
    mean = {"mean"} if len(categories) > 1 else set()
    of_table = drawn.tables[-1].frame
    if "category" in of_table:
        assert set(of_table["category"]) == {*categories, *mean}


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.filterwarnings("error")
def test_every_study_draws_images_with_masks(study):
    rows = tracked_rows(experiments(study, SEVERAL, 3), categories=SEVERAL)
    drawn = document(study, rows)
    assert drawn.figure is not None
    assert all(len(table.frame) for table in drawn.tables)
    assert "no masks" not in drawn.caption
    assert "256 x 256 pixels" in drawn.caption


@pytest.mark.parametrize(
    "study", ["rho", "baselines", "theorem", "loco", "gain", "label_correction"]
)
@pytest.mark.filterwarnings("error")
def test_the_axis_of_noise_shows_the_actual_contamination_if_asked_for(study):
    """Every noisy experiment of these rows has 17 % anomalies, but its ratio is 10 % or 40 %."""
    rows = tracked_rows(experiments(study, ONE, 1), categories=ONE)
    drawn = document(study, rows, actual_noise=True)
    ratios = {str(value) for table in drawn.tables for value in table.frame.get("noise", [])}
    assert ratios <= {"0.0", "0.17", "0%", "17%"}
    assert ratios & {"0.17", "17%"}
    assert "noise is the actual share of anomalies" in drawn.caption
    assert "17.0% at noise 40%" in drawn.caption


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_without_any_number_has_a_page_that_says_why(study, tmp_path):
    rows = tracked_rows(experiments(study, ONE, 1), categories=ONE, masked=(), labelled=False)
    rows = rows[rows["readout"] != "training"]
    drawn = document(study, rows)
    assert write(drawn, tmp_path / study) == [".html"]
    assert drawn.figure is None


def test_the_caption_names_the_categories_of_pixel_metrics_if_others_have_no_masks():
    rows = tracked_rows(experiments("rho", SEVERAL, 1), categories=SEVERAL, masked=("nut",))
    caption = document("rho", rows).caption
    assert "Only the images of nut have masks" in caption


@pytest.mark.parametrize("name", TABLES)
def test_every_numbered_table_draws_images_without_masks_or_says_what_it_needs(name):
    study = TABLES[name].studies[-1]
    cells = experiments(study, ONE, 1, noises=(0.0, 0.02, 0.05, 0.1, 0.2, 0.4))
    rows = tracked_rows(cells, categories=ONE, masked=())
    found = Results(study, "folder", measured(rows), provenance(rows))
    if not set(layout(TABLES[name])["metric"]) & set(NO_PIXELS):
        with pytest.raises(NoResultError, match="The table needs"):
            make_numbered(name, TABLES[name], lambda study: found)
        return
    drawn = make_numbered(name, TABLES[name], lambda study: found)
    frame = drawn.tables[0].frame
    assert "P-A" not in f"{list(frame.columns)} {drawn.tables[0].caption}"


def test_several_training_seeds_give_means_and_bands_and_no_line_per_seed():
    rows = tracked_rows(experiments("rho", ONE, 3), categories=ONE)
    axes = next(
        each for each in document("rho", rows).figure.axes if each.get_title().startswith("MeDS")
    )
    auroc = rows[(rows["metric"] == "image_auroc") & (rows["readout"] == "all")]
    auroc = auroc[(auroc["category"] == "mean") & (auroc["noise.ratio"] == "0.4")]
    of_meds = auroc[auroc["detector.title"] == "MeDS"]
    means = of_meds.groupby(of_meds["detector.memory.ratio"].astype(float))["value"].mean()
    curve = next(line for line in axes.lines if line.get_label() == "40%")
    assert list(curve.get_ydata()) == pytest.approx(list(means))
    dotted = [line for line in axes.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    plain = auroc.loc[auroc["detector"] == "PlainNetwork", "value"]
    assert len(dotted) == 2  # noise ratios
    assert dotted[-1].get_ydata()[0] == pytest.approx(plain.mean())
    assert len(axes.collections) == 2  # a band per curve
    assert len(axes.patches) == 2  # a band per dotted line


def test_the_last_panel_compares_methods_at_the_ratios_nearest_to_the_papers():
    rows = tracked_rows(experiments("rho", ONE, 3), categories=ONE)
    axes = next(
        each for each in document("rho", rows).figure.axes if each.get_title() == "All methods"
    )
    auroc = rows[(rows["metric"] == "image_auroc") & (rows["readout"] == "all")]
    auroc = auroc[auroc["category"] == "mean"]
    curves = {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}
    ratios = {"memory ensemble": "0.1", "MeDS": "0.05", "plain network": None}
    ratios |= {"distilled model": "0.1", "distilled model + adaptive memory": "0.1"}
    assert len(curves) == len(ratios)
    for title, ratio in ratios.items():
        curve = curves[title if ratio is None else f"{title}, ρ {ratio}"]
        own = auroc[auroc["detector.title"] == title]
        if ratio is not None:
            own = own[own["detector.memory.ratio"] == ratio]
        means = own.groupby(own["noise.ratio"].astype(float))["value"].mean()
        assert list(curve.get_xdata()) == [0, 0.4]
        assert list(curve.get_ydata()) == pytest.approx(list(means))


@pytest.mark.parametrize("kept", [["MeDS"], ["memory ensemble"], ["plain network"]])
def test_a_panel_of_a_method_that_was_not_asked_for_is_left_out(kept):
    rows = tracked_rows(experiments("rho", ONE, 1), categories=ONE)
    figure = document("rho", rows[rows["detector.title"].isin(kept)]).figure
    assert len(figure.axes) == 2  # one per metric


def test_the_caption_names_the_methods_if_sizes_differ():
    rows = tracked_rows(experiments("rho", ONE, 1), categories=ONE)
    is_plain = rows["detector"] == "PlainNetwork"
    rows["evaluation.size"] = rows["evaluation.size"].where(~is_plain, "224")
    caption = document("rho", rows).caption
    assert "Maps and masks (plain network) are compared at 224 x 224 pixels" in caption
    others = "MeDS, distilled model, distilled model + adaptive memory, memory ensemble"
    assert f"Maps and masks ({others}) are compared at 256 x 256 pixels" in caption
