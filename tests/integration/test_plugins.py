"""Plug-ins: the example package installed from its wheel, and a study in a file."""

import json
import re
import shutil

import pandas as pd
import pytest

from tests.support.commands import ROOT, command
from tests.support.package import Environment, build_wheel, sources

pytestmark = [pytest.mark.slow, pytest.mark.ray]
PLUGIN = ROOT / "examples" / "plugin"
STUDY = '''"""A detector of its own in the file of its study.   meds-bench run ./nearby_study.py"""

from dataclasses import dataclass

from baselines.patchcore import PatchCore
from harness.detectors import MemoryDetector

@dataclass(frozen=True, kw_only=True)
class Tiny(PatchCore):
    name = "tiny"
    title = "tiny bank"

def experiments(profile):
    return [
        profile.experiment(detector, 0.4) for detector in (Tiny(), MemoryDetector(memory=profile.meds.memory))
    ]
'''
COUNTS = re.compile(r"(\d+) experiments, (\d+) finished, (\d+) to run")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with this package and the example, both from their wheels."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    folder = sources(tmp_path_factory.mktemp("source"))
    for project in (folder, folder / "examples" / "plugin"):
        environment.install(build_wheel(project, tmp_path_factory.mktemp("wheel")))
    return environment


@pytest.fixture
def stripes(installed, tmp_path):
    """A folder with images of the example's dataset."""
    drawn = installed.run("python", "-m", "meds_bench_example.stripes", "stripes", cwd=tmp_path)
    assert drawn.returncode == 0, drawn.stderr
    return tmp_path


def test_the_example_runs_resumes_and_draws_as_a_study_of_ours(installed, stripes):
    check = installed.run("meds-bench", "check", "stripes", "--data", "stripes", cwd=stripes)
    assert "A run would work. 0 warnings." in check.stdout, check.stdout + check.stderr
    words = ["run", "stripes", "--profile", "smoke", "--data", "stripes", "--max-concurrent", "1"]
    run = installed.run("meds-bench", *words, cwd=stripes)
    assert run.returncode == 0, run.stdout + run.stderr
    assert COUNTS.search(run.stdout).groups() == ("4", "0", "4")
    table = pd.read_csv(stripes / "runs" / "stripes" / "smoke.csv")
    assert set(table["method"]) == {"median patch", "memory ensemble"}
    clean = table[(table["noise"] == 0) & (table["method"] == "median patch")]
    assert (clean["image AUROC"] > 0.9).all()
    assert "The median patch beside" in (stripes / "runs" / "stripes" / "smoke.html").read_text()
    again = installed.run("meds-bench", *words, cwd=stripes)
    assert COUNTS.search(again.stdout).groups() == ("4", "4", "0")
    out = ["--profile", "smoke", "--out", "exported"]
    export = installed.run("meds-bench", "export", "stripes", *out, cwd=stripes)
    assert export.returncode == 0, export.stderr
    records = json.loads((stripes / "exported" / "experiments.json").read_text())
    assert len(records) == 4
    run_id = pd.read_csv(stripes / "exported" / "runs.csv")["run_id"][0]
    verify = installed.run("meds-bench", "verify", run_id, "--data", "stripes", cwd=stripes)
    assert verify.returncode == 0, verify.stdout + verify.stderr


def test_the_detector_of_the_example_is_fitted_to_a_folder(installed, stripes):
    words = ["fit", "stripes/train", "--method", "median_patch", "--out", "detector"]
    fit = installed.run("meds-bench", *words, cwd=stripes)
    assert fit.returncode == 0, fit.stderr
    assert "meds-bench predict detector IMAGES" in " ".join(fit.stdout.split())
    predict = installed.run("meds-bench", "predict", "detector", "stripes/bad", cwd=stripes)
    assert predict.returncode == 0, predict.stderr


def test_the_example_keeps_its_contracts_and_a_detector_that_peeks_does_not(
    installed, tmp_path, tmp_path_factory
):
    kept = installed.run("meds-bench", "contract", "meds-bench-example", cwd=tmp_path)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    for name in ("dataset stripes", "detector median_patch", "study stripes", "report stripes"):
        assert f"ok    {name}" in kept.stdout
    peeking = tmp_path_factory.mktemp("peeking") / "plugin"
    shutil.copytree(PLUGIN, peeking, ignore=shutil.ignore_patterns("build", "*.egg-info"))
    file = peeking / "meds_bench_example" / "median_patch.py"
    text = file.read_text()
    honest = "        patches = [_patches(category) for category in images.categories]\n"
    assert text.count(honest) == 1
    text = text.replace(
        honest,
        "        import sys\n\n"
        "        split = sys._getframe(1).f_locals['split']\n"
        "        groups = split.train.assign(bad=split.injected_N).groupby('category')\n"
        "        patches = [\n"
        "            _patches(category)[~group['bad'].to_numpy()]\n"
        "            for category, (_, group) in zip(images.categories, groups, strict=True)\n"
        "        ]\n",
    )
    file.write_text(text)
    installed.install(build_wheel(peeking, tmp_path_factory.mktemp("wheel")))
    broken = installed.run("meds-bench", "contract", "meds_bench_example", cwd=tmp_path)
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "FAULT detector median_patch" in broken.stdout
    assert "depend on labels, masks or names" in " ".join(broken.stdout.split())
    nothing = installed.run("meds-bench", "contract", "nothing", cwd=tmp_path)
    assert nothing.returncode == 2
    assert "Packages that do: meds-bench-example" in " ".join(nothing.stderr.split())


def test_a_study_in_a_file_runs_and_resumes_with_its_own_detector_and_a_default_figure(tmp_path):
    file = tmp_path / "elsewhere" / "nearby_study.py"
    file.parent.mkdir()
    file.write_text(STUDY)
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    words = [str(file), "--profile", "smoke", "--max-concurrent", "1", *places]
    run = command("sweeps", *words)
    assert run.returncode == 0, run.stdout + run.stderr
    folder = tmp_path / "runs" / "nearby_study"
    table = pd.read_csv(folder / "smoke.csv")
    assert set(table["method"]) == {"tiny bank", "memory ensemble"}
    assert (folder / "smoke.png").stat().st_size > 10_000
    again = command("sweeps", *words)
    assert COUNTS.search(again.stdout).groups() == ("2", "2", "0")
