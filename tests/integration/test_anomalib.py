"""Plug-in for anomalib, where that is installed: contracts, a study, and the agreement of both PatchCores."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pandas as pd
import pytest

from tests.support.commands import ROOT
from tests.support.package import Environment, build_wheel, sources

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("anomalib") is None, reason="anomalib is not installed"),
]
COUNTS = re.compile(r"(\d+) experiments, (\d+) finished, (\d+) to run")
WITHIN = 0.02
"""Largest difference between the image AUROC of both PatchCores on the same features."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with this package and the plug-in, both from their wheels."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    folder = sources(tmp_path_factory.mktemp("source"))
    for project in (folder, folder / "examples" / "anomalib"):
        environment.install(build_wheel(project, tmp_path_factory.mktemp("wheel")))
    return environment


def test_models_keep_the_contract_of_detectors(installed, tmp_path):
    kept = installed.run("meds-bench", "contract", "meds-bench-anomalib", cwd=tmp_path)
    assert kept.returncode == 0, kept.stdout + kept.stderr
    for model in ("patchcore", "padim", "stfpm", "dfkde"):
        assert f"ok    detector anomalib_{model}" in kept.stdout
    assert "ok    study anomalib" in kept.stdout


def test_a_model_is_trained_in_a_study_that_resumes(installed, tmp_path):
    words = ["run", "anomalib", "--profile", "smoke", "--max-concurrent", "1", "--noise", "0.4"]
    methods = ["--method", "patchcore", "anomalib_patchcore", "anomalib_stfpm"]
    run = installed.run("meds-bench", *words, *methods, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert COUNTS.search(run.stdout).groups() == ("3", "0", "3")
    (file,) = (tmp_path / "runs" / "anomalib").glob("*.csv")
    table = pd.read_csv(file)
    auroc = table[table["readout"] == "all"].groupby("method")["image AUROC"].mean()
    assert set(auroc.index) == {"PatchCore", "anomalib Patchcore", "anomalib Stfpm"}
    assert abs(auroc["PatchCore"] - auroc["anomalib Patchcore"]) < WITHIN
    again = installed.run("meds-bench", *words, *methods, cwd=tmp_path)
    assert COUNTS.search(again.stdout).groups() == ("3", "3", "0")


def test_a_detector_is_fitted_to_a_folder_and_scores_new_images(installed, tmp_path, photograph):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(photograph.read_bytes() + b" " * number)
    words = ["fit", "photographs", "--method", "anomalib_patchcore", "--image-size", "64"]
    fit = installed.run("meds-bench", *words, "--out", "detector", cwd=tmp_path)
    assert fit.returncode == 0, fit.stderr
    predict = installed.run("meds-bench", "predict", "detector", "photographs", cwd=tmp_path)
    assert predict.returncode == 0, predict.stderr


def test_the_package_has_no_import_of_anomalib_until_a_model_is_built():
    code = "import sys; import meds_bench_anomalib.study; sys.exit('anomalib' in sys.modules)"
    path = f"{ROOT}:{ROOT / 'examples' / 'anomalib'}"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}, check=False)
    assert done.returncode == 0
