"""The site as files: every link leads somewhere, every text is escaped, and its numbers are those of the runs."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from harness.errors import InputError, NoResultError
from harness.tracking import Tracker
from harness.tracking.collection import Collection
from reports.site.boards import boards, chunks
from reports.site.build import build
from reports.site.catalogue import make_catalogue
from reports.site.chance import chance_of
from reports.site.labels import label_methods
from reports.site.sources import Study, find_studies
from reports.statistics.levels import levels
from tests.support.commands import ROOT
from tests.support.sites import linked, synthetic
from tests.support.stored_study import stored

EXPORTS = ROOT / "docs" / "results"
HOSTILE = "<script>alert('x')</script>&\"../../"


@pytest.fixture(scope="module")
def store(small, tmp_path_factory):
    """A tracking store with two finished runs and one that failed."""
    return stored(small, tmp_path_factory.mktemp("store"), (0.2, 1.0), failing=0.5)[0]


@pytest.fixture(scope="module")
def site(store, tmp_path_factory):
    """The folder of the site of this store."""
    folder = tmp_path_factory.mktemp("results") / "site"
    build(find_studies(store.uri, []), folder)
    return folder


def test_every_link_of_every_page_leads_to_a_file_of_the_site(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 6
    for page in pages:
        assert "<built-in" not in page.read_text()
        assert "&lt;built-in" not in page.read_text()
        for address in linked(page.read_text()):
            target, _, _ = unquote(address).partition("#")
            assert (page.parent / target).resolve().is_relative_to(site.resolve())
            assert (page.parent / target).is_file(), (page, address)


def test_a_run_has_its_scores_and_its_pictures_and_a_failure_its_reason(site, store):
    finished = store.runs("small").query("status == 'FINISHED'")
    for run_id in finished["run_id"]:
        text = (site / f"data/runs/{run_id[:12]}.js").read_text()
        data = json.loads(text.removeprefix("window.MEDS_RUN=").removesuffix(";"))
        stored_scores = store.run(run_id).scores()
        assert data["scores"]["image"] == list(stored_scores["image"])
        assert data["scores"]["score"] == pytest.approx(list(stored_scores["score"]), rel=1e-5)
        places = data["pictures"]["places"]
        assert set(places) <= set(stored_scores["image"])
        assert (site / "runs" / data["pictures"]["file"]).is_file()
    assert "ZeroDivisionError: no room" in (site / "runs.html").read_text()


def test_all_studies_at_once_have_the_results_of_each_study_alone(store):
    (study,) = Collection(store.uri).studies()
    together = study.values.merge(study.settings, on="run_id")
    alone = Tracker(store.uri, study.study).load(study.profile)
    key = ["run_id", "readout", "metric", "category"]
    pd.testing.assert_frame_equal(
        together.sort_values(key, ignore_index=True),
        alone.sort_values(key, ignore_index=True),
        check_like=True,
    )
    assert set(study.runs["run_id"]) == set(store.runs("small")["run_id"])


def test_an_older_site_is_replaced_and_other_files_are_kept(store, site, tmp_path):
    studies = find_studies(store.uri, [])
    (site / "old.html").touch()
    build(studies, site)
    assert not (site / "old.html").exists()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"no site .* --out"):
        build(studies, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_name_of_a_user_becomes_a_script_or_a_path(tmp_path):
    study = synthetic(names=[HOSTILE, HOSTILE.upper()], study=HOSTILE, category=HOSTILE)
    build([study], tmp_path / "site")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(path.is_relative_to(tmp_path / "site") for path in files)
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        assert "<script>alert" not in text.lower()
        assert re.search("&lt;script&gt;alert", text, re.IGNORECASE)
    assert len(list(tmp_path.glob("site/methods/*.html"))) == 2


def test_a_folder_without_an_exported_study_and_a_store_without_a_run_are_refused(tmp_path):
    with pytest.raises(InputError, match="harness export"):
        find_studies("sqlite:////nowhere.db", [tmp_path])
    with pytest.raises(NoResultError, match="make sweep-rho"):
        find_studies(f"sqlite:///{tmp_path / 'mlflow.db'}", [])


def test_a_run_of_several_studies_appears_once_and_a_repetition_does_not_count():
    study = synthetic(names=["A"])
    other = synthetic(names=["A"], study="other")
    again = synthetic(names=["A"], study="again", prefix="b")
    catalogue = make_catalogue([study, other, again])
    assert catalogue.runs.loc["a0", "study"] == ("synthetic", "other")
    assert catalogue.runs["counted"].sum() == len(study.settings) == len(catalogue.runs) / 2
    (board,) = boards(catalogue)
    assert len(next(iter(dict(chunks(board)).values()))["c0"]) == len(catalogue.runs)


def test_unseen_anomalies_without_noise_are_all_anomalies():
    (board,) = boards(make_catalogue([synthetic(names=["A", "B"])]))
    values = dict(chunks(board))
    clean = (board.rows["noise"] == 0).to_numpy()
    every, unseen = (pd.Series(values[f"image_auroc/{name}"]["c0"]) for name in ("all", "unseen"))
    assert clean.any()
    assert (every[clean] == unseen[clean]).all()
    assert (every[~clean] != unseen[~clean]).all()


def test_intervals_are_those_of_the_statistics():
    study = synthetic(names=["A", "B"], seeds=3)
    (board,) = boards(make_catalogue([study]))
    found = chance_of(board, pd.DataFrame(columns=["run_id", "image"]))["image_auroc/all"]
    rows = board.values.merge(
        board.rows[["label", "dataset", "detector", "noise", "noise.seed", "seed"]],
        left_on="run_id",
        right_index=True,
    )
    rows = rows[(rows["metric"] == "image_auroc") & (rows["readout"] == "all")]
    for row in levels(rows.assign(seed=rows["seed"].astype(int)), by="label").itertuples():
        at = board.noises.index(row.noise)
        bounds = found["methods"][row.label]["levels"][at]
        assert bounds == pytest.approx([row.low, row.high], abs=1e-4)
    assert "3 training seeds" in found["unit"]


def test_a_label_has_the_settings_that_differ_from_the_usual_ones():
    rows = [
        ("MeDS", "0.1", "2"),
        ("MeDS", "0.1", "3"),
        ("MeDS", "1.0", "2"),
        ("memory", "0.1", None),
        ("other", None, None),
    ]
    columns = ["title", "detector.memory.ratio", "detector.selection.critical_value"]
    runs = pd.DataFrame(rows, columns=columns).assign(dataset="D", data="d")
    found = label_methods(runs)
    assert list(found["label"]) == [
        "MeDS, ρ 0.1",
        "MeDS, ρ 0.1, k 3",
        "MeDS, ρ 1",
        "memory",
        "other",
    ]
    assert list(found["main"]) == [True, False, False, True, True]


def test_the_first_page_of_the_reference_results_is_small(tmp_path):
    build(find_studies("", [EXPORTS]), tmp_path / "site")
    page = tmp_path / "site" / "index.html"
    loaded = [
        page,
        *(tmp_path / "site" / name for name in linked(page.read_text()) if "assets" in name),
    ]
    assert sum(Path(file).stat().st_size for file in loaded) < 2_000_000
    assert isinstance(find_studies("", [EXPORTS])[0], Study)
