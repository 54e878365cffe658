"""Studies: lists of experiments, each once, on every profile, sharing what they have in common."""

import importlib
from dataclasses import replace

import pandas as pd
import pytest

import reports
import sweeps
from baselines.ad2 import AD2
from harness.config.discovery import modules_of
from harness.detectors import MemoryDetector, ReconstructionDetector
from harness.detectors.meds import MeDS
from harness.errors import InputError
from reports.ablation import ROWS
from reports.ablation import named as ablation_rows
from reports.baselines import named as methods_of
from reports.loco import draw as draw_loco
from reports.loco import named as variants
from reports.options import named as choices
from reports.published.paper import published
from reports.student import named as variants_of_the_student
from sweeps import student
from sweeps.loco import BATCHES
from sweeps.profiles import PROFILES
from sweeps.profiles.local import LAPTOP, MTD
from sweeps.profiles.paper import LOCO, MVTEC_AD, REAL_IAD, VISA

STUDIES = modules_of(sweeps)


def cells(study, profile):
    return profile.cells(importlib.import_module(f"sweeps.{study}").experiments(profile))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("study", STUDIES)
def test_every_experiment_of_a_study_is_there_once(study, profile):
    experiments = cells(study, profile)
    assert experiments
    assert len({experiment.key for experiment in experiments}) == len(experiments)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_has_a_report_and_says_what_to_expect(study):
    assert study in modules_of(reports)
    assert f"make sweep-{study}" in importlib.import_module(f"sweeps.{study}").__doc__


def test_studies_share_their_cells():
    """What one study has finished, another need not run again."""
    of = {study: {e.key for e in cells(study, MTD)} for study in STUDIES}
    assert of["gain"] <= of["ablation"]
    assert of["rho"] & of["ablation"]
    assert of["critical_value"] & of["rho"]
    assert of["top_percent"] & of["ablation"]
    assert of["iterations"] & of["rho"]
    assert of["ensemble_size"] & of["rho"]


def test_the_ablation_has_every_row_of_the_paper(results_of):
    rows = ablation_rows(results_of(cells("ablation", MTD)))
    assert list(rows["method"].unique()) == list(ROWS)
    counts = rows.groupby("method", observed=True).size()
    assert counts.pop("memory ensemble") == 4
    assert (counts == 12).all()


@pytest.mark.parametrize("profile", [MTD, MVTEC_AD], ids=lambda profile: profile.name)
def test_every_open_choice_has_a_name_of_its_own(results_of, profile):
    rows = choices(results_of(cells("options", profile)))
    counts = rows.groupby("method", observed=False).size()
    assert (counts == 3).all()
    assert len(counts) * 3 == len(cells("options", profile))


def test_methods_of_the_baselines_have_names_of_their_own(results_of):
    for profile, methods in ((MTD, 7), (LAPTOP, 9)):
        rows = methods_of(results_of(cells("baselines", profile)))
        counts = rows["method"].value_counts()
        assert len(counts) == methods
        assert (counts == len(profile.noise_ratios)).all()


def test_the_papers_tables_have_every_method_at_every_noise_ratio():
    """Tables 1 to 3: the rows, noise ratios and setting that `paper.csv` has."""
    tables = {"mvtec_ad": (MVTEC_AD, "T1"), "visa": (VISA, "T2"), "real_iad": (REAL_IAD, "T3")}
    rows = published()
    for study, (profile, name) in tables.items():
        table = rows[rows["table"] == name]
        experiments = cells(study, profile)
        noises = {round(100 * e.noise.ratio) for e in experiments}
        assert noises == set(table["noise"])
        methods = table["method"].nunique()
        single = set(table["setting"]) == {"single-class"}
        categories = {e.categories for e in experiments}
        assert categories == ({(c,) for c in profile.dataset.expected} if single else {None})
        assert len(experiments) == methods * len(noises) * len(categories)


@pytest.fixture
def results_of():
    """Tracked rows of experiments, one metric each, as the tracker gives them back: parameters as text."""

    def make(experiments):
        return pd.DataFrame(
            [
                {name: str(value) for name, value in experiment.params.items()}
                | {"readout": "all", "metric": "image_auroc", "category": "mean", "value": 0.5}
                for experiment in experiments
            ]
        )

    return make


def test_the_ablation_changes_stages_and_nothing_else():
    for experiment in cells("ablation", LAPTOP):
        detector = experiment.detector
        if isinstance(detector, MeDS):
            back = replace(
                detector,
                distillation=LAPTOP.meds.distillation,
                finetuning=LAPTOP.meds.finetuning,
                start="distilled",
                criterion="distilled",
            )
            assert back == LAPTOP.meds
        elif isinstance(detector, ReconstructionDetector):
            assert detector.training == LAPTOP.plain.training
        else:
            assert detector == MemoryDetector(memory=LAPTOP.meds.memory)


@pytest.mark.parametrize("profile", [MTD, LOCO], ids=lambda profile: profile.name)
def test_every_variant_of_ad2_has_a_name_of_its_own(results_of, profile):
    rows = variants(results_of(cells("loco", profile)))
    noises, counts = len(profile.noise_ratios), rows["method"].value_counts()
    assert counts.pop("AD2") == counts.pop("EfficientAD-M") == 3 * noises
    alone = ["NMFE alone", "ATDR alone", "neither module"]
    batches = [f"AD2, batch {size}" for size in BATCHES if size != usual_batch(profile)]
    assert {name: counts.pop(name) for name in alone + batches} == dict.fromkeys(alone + batches, 3)
    assert (counts == 1).all()
    assert set(rows.loc[rows["method"].isin([*alone, *batches]), "noise"]) == {0.1}


@pytest.mark.parametrize("noises", [(0.1,), (0.0, 0.1)], ids=str)
@pytest.mark.filterwarnings("error")
def test_ad2_is_drawn_at_one_noise_ratio_or_several(results_of, noises):
    """What was run at as many ratios as any method has a curve, or a point; all of AD2 has its batch."""
    results = results_of(cells("loco", replace(MTD, noise_ratios=noises)))
    left, right = draw_loco(results).axes
    methods = {"EfficientAD-M", "AD2"} if len(noises) > 1 else set(variants(results)["method"])
    assert set(left.get_legend_handles_labels()[1]) == methods
    assert list(right.lines[0].get_xdata()) == list(BATCHES)


def usual_batch(profile):
    return profile.system(AD2).detector.student.batch_size


def test_every_system_is_compared_over_seeds_beside_the_baselines(results_of):
    rows = methods_of(results_of(cells("systems", MTD)))
    counts = rows["method"].value_counts()
    seeded = {"reverse distillation", "UniAD", "EfficientAD-M", "AD2", "plain network", "MeDS"}
    seeded |= {"LLBNAD", "CoMet", "distilled model + adaptive memory"}
    assert {name for name, count in counts.items() if count == 12} == seeded
    assert {name for name, count in counts.items() if count == 4} == set(counts.index) - seeded
    assert {e.key for e in cells("baselines", MTD)} <= {e.key for e in cells("systems", MTD)}


@pytest.mark.parametrize(
    ("study", "above"), [("ensemble_size", "memory ensemble"), ("iterations", "distilled model")]
)
def test_the_final_model_is_drawn_below_what_it_learns_from(results_of, study, above):
    """Figs. 4 and 5, at the same values of the setting."""
    results = results_of(cells(study, MTD))
    panels = importlib.import_module(f"reports.{study}").draw(results).axes
    assert [axes.get_title() for axes in panels] == [above, "MeDS"]  # without masks
    first, last = panels[0].lines, panels[1].lines
    assert len(first) == len(last) == len(MTD.noise_ratios)
    assert len(first[0].get_xdata()) > 4
    assert list(first[0].get_xdata()) == list(last[0].get_xdata())


def test_iterations_need_a_distillation():
    nothing = replace(LAPTOP.meds, distillation=None, start="random", criterion="memory")
    with pytest.raises(InputError, match="no distillation"):
        cells("iterations", replace(LAPTOP, meds=nothing))


@pytest.mark.parametrize("profile", [MTD, MVTEC_AD], ids=lambda profile: profile.name)
def test_every_variant_of_the_student_has_a_name_of_its_own(results_of, profile):
    experiments = profile.cells(student.experiments(profile))
    rows = variants_of_the_student(results_of(experiments))
    counts = rows.groupby("method", observed=False).size()
    assert {"memory ensemble", "distilled model", "MeDS", "plain network"} <= set(counts.index)
    each = len({(experiment.noise.ratio, experiment.categories) for experiment in experiments})
    assert (counts[["memory ensemble", "adaptive memory"]] == each).all()
    assert (counts.drop(["memory ensemble", "adaptive memory"]) == 3 * each).all()
