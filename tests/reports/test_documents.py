"""Reports from a real store: every format, what captions say, where numbers come from, and no torch on the way."""

import ast
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from mlflow import MlflowClient

from harness.detectors import MemoryDetector, ReconstructionDetector
from harness.errors import NoResultError
from harness.experiment import run_prepared
from harness.memory import MemoryEnsemble
from harness.noise import Noise
from harness.runtime.compute import InProcess
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from reports import gain, rho
from reports.launch.command import NUMBERED
from reports.pages.document import make
from reports.pages.files import write
from reports.pages.page import render
from reports.tables.studies import studies
from tests.support.commands import command
from tests.support.dataset import NETWORK
from tests.support.tracking import ENDED, tracker_in

REASON = "Traceback (most recent call last):\n  File x\nValueError: more <memory> wanted"


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """Folder of a store with the study rho: two finished experiments and one that failed."""
    folder = tmp_path_factory.mktemp("runs")
    detectors = [MemoryDetector(memory=MemoryEnsemble(ratio=ratio)) for ratio in (0.1, 1.0)]
    detectors.append(ReconstructionDetector(network=NETWORK))
    noisy = [small.experiment(detector, noise=Noise(ratio=0.25)) for detector in detectors]
    tracker = tracker_in(folder, "rho")
    digest = small.prepared.data_digest
    parent = tracker.open_study("small", [experiment.key for experiment in noisy], digest)
    for experiment in noisy:
        log = tracker.start(
            experiment,
            name=experiment.name,
            parent=parent,
            data_digest=digest,
            environment={"git": "f00"},
        )
        if isinstance(experiment.detector, ReconstructionDetector):
            log.fail(REASON)
        else:
            log.finish(
                run_prepared(experiment, small.prepared, data=small.data, compute=InProcess()),
                **ENDED,
            )
    return folder


@pytest.fixture(scope="module")
def document(runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(runs.parent)
        return make(rho, Tracker(default_uri(runs), "rho"), "small")


class Page(HTMLParser):
    """Collects elements, links, and what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.fetched, self.ids, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name == "href" and tag == "a":
                self.links.append(value)
            elif name == "id":
                self.ids.append(value)
            elif name in ("src", "href") and tag != "use":
                self.fetched.append(value)

    def handle_data(self, data):
        self.text += data


def test_every_study_with_results_is_drawn_in_one_process_without_torch(runs):
    code = (
        "import sys; from pathlib import Path; from reports.__main__ import Options, main; "
        f"code = main(Options(profile='small', runs=Path({str(runs)!r}))); "
        "print([code, [m for m in ('torch', 'ray', 'timm') if m in sys.modules]])"
    )
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    *lines, last = answer.stdout.splitlines()
    assert ast.literal_eval(last) == [0, []]
    assert next(line for line in lines if line.startswith("rho: ")).endswith(" 3 runs")
    said = dict(line.split(": ", 1) for line in lines)
    assert set(said) == {*studies(), *NUMBERED}
    assert said["gain"] == "no results on small (make sweep-gain PROFILE=small)"
    assert said["table-8"] == "no results on small (make sweep-baselines PROFILE=small)"
    assert said["figure-2"] == said["rho"]
    assert said["figure-4"] == "no results on small (make sweep-ensemble_size PROFILE=small)"
    written = {path.name for path in (runs / "rho").iterdir()}
    assert written == {f"small.{form}" for form in ("png", "svg", "csv", "md", "tex", "html")}
    tracker = Tracker(default_uri(runs), "rho")
    client = MlflowClient(tracking_uri=tracker.uri)
    stored = client.list_artifacts(tracker.study_run("small"), "report")
    assert {Path(file.path).name for file in stored} == written
    for form in ("md", "tex", "svg"):
        text = (runs / "rho" / f"small.{form}").read_text().replace("\\", "")
        assert "20.0% at noise 25%" in text.replace("\n", " "), form
        assert "Textures (3 categories)" in text, form
    assert not (runs / "gain").exists()


def test_a_report_that_mlflow_cannot_store_is_drawn_with_a_warning(runs, tmp_path):
    there = shutil.copytree(runs, tmp_path / "runs")
    tracker = Tracker(default_uri(there), "rho")
    client = MlflowClient(tracking_uri=tracker.uri)
    parent = Path(
        client.get_run(tracker.study_run("small")).info.artifact_uri.removeprefix("file://")
    )
    assert parent.is_relative_to(there)
    shutil.rmtree(parent / "report", ignore_errors=True)
    (parent / "report").touch()  # a file where a folder should be
    answer = command("reports", "rho", "--profile", "small", "--runs", str(there))
    assert answer.returncode == 0, answer.stderr
    assert "warning: MLflow does not have this report. The tracking store" in answer.stderr
    assert (there / "rho" / "small.html").is_file()


def test_a_profile_without_any_results_says_what_to_run(runs):
    answer = command("reports", "--profile", "mtd", "--runs", str(runs))
    assert answer.returncode == 1
    assert "make sweep-rho PROFILE=mtd" in " ".join(answer.stderr.split())


def test_captions_say_what_was_measured(document):
    for table in document.tables:
        assert (
            "Textures (3 categories); contamination 20.0% at noise 25%; read-out:" in table.caption
        )
        assert "1 training seed, 1 noise seed" in table.caption
        assert "metrics are exact unless" in table.caption
    assert "With one seed there is no spread" in document.tables[0].caption
    assert "protocol meds" in document.caption


def test_numbers_link_to_their_runs_and_nothing_is_fetched(document, runs):
    page = Page(render(document))
    finished = document.provenance.runs.query("status == 'FINISHED'")["run_id"]
    assert {f"#run-{run}" for run in finished} == set(page.links)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(address.startswith("data:") for address in page.fetched)
    assert f"sqlite:///{runs.name}/mlflow.db" in page.text
    assert str(runs.parent) not in page.text


def test_on_a_server_runs_have_their_pages(document):
    provenance = replace(document.provenance, server="http://127.0.0.1:5000", database="")
    page = Page(render(replace(document, provenance=provenance)))
    runs = document.provenance.runs["run_id"]
    study = document.provenance.study_run
    assert {f"http://127.0.0.1:5000/#/runs/{run}" for run in (study, *runs)} <= set(page.links)
    assert "mlflow ui" not in page.text


def test_failed_experiments_are_listed_with_their_reasons(document):
    text = render(document)
    assert list(document.provenance.failed["failure"]) == [REASON]
    assert "<summary>ValueError: more &lt;memory&gt; wanted</summary>" in text
    runs = document.provenance.runs
    sound = replace(document.provenance, runs=runs[runs["status"] == "FINISHED"])
    assert "Failed experiments" not in render(replace(document, provenance=sound))


def test_a_study_whose_experiments_all_failed_has_a_page_that_says_why(runs, small, tmp_path):
    tracker = Tracker(default_uri(runs), "gain", (runs / "artifacts").as_uri())
    digest = small.prepared.data_digest
    experiment = small.experiment(ReconstructionDetector(network=NETWORK), noise=Noise(ratio=0.3))
    parent = tracker.open_study("other", [experiment.key], digest)
    with pytest.raises(NoResultError, match="make sweep-gain PROFILE=other"):
        make(gain, tracker, "other")
    of_run = {"name": "the one", "parent": parent, "data_digest": digest, "environment": {}}
    tracker.start(experiment, **of_run).fail(REASON)
    assert write(make(gain, tracker, "other"), tmp_path / "small") == [".html"]
    text = (tmp_path / "small.html").read_text()
    assert "No experiment of this study is finished" in text
    assert "<summary>ValueError: more &lt;memory&gt; wanted</summary>" in text


def test_maps_of_every_finished_run_are_shown(document):
    page = Page(render(document))
    assert [name for name, _ in document.provenance.samples] == list(
        document.provenance.runs.query("status == 'FINISHED'")["name"]
    )
    sheets = [address for address in page.fetched if address.startswith("data:image/jpeg")]
    assert len(sheets) == page.tags.count("img") == 2
    assert sheets[0] != sheets[1]
