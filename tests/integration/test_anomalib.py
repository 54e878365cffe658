"""Plug-in for anomalib, where that is installed: contracts, a study, and the same scores as our PatchCore."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support.commands import ROOT
from tests.support.package import Environment, build_wheel, sources

pytestmark = [
    pytest.mark.slow,
    pytest.mark.ray,
    pytest.mark.skipif(find_spec("anomalib") is None, reason="anomalib is not installed"),
]
COUNTS = re.compile(r"(\d+) experiments, (\d+) finished, (\d+) to run")
PLUGIN = ROOT / "examples" / "anomalib"
SAME = """
import numpy as np
from PIL import Image
from skimage import data

from baselines.patchcore import PatchCore
from harness.features import ImageSet
from harness.features.encoder import Encoder
from harness.features.encoding import encode_pixels
from harness.features.patch_features import LocallyAware
from harness.runtime.compute import InProcess
from meds_bench_anomalib.detector import LAYERS, Anomalib

features = LocallyAware(modules=LAYERS, level_dimensions=None)
encoder = Encoder(image_size=64, memory=features, pixels=True)
photograph = Image.fromarray(data.astronaut())
parts = [(x, y, x + 128, y + 128) for x in range(0, 384, 128) for y in range(0, 384, 128)]
images = [encoder.preprocess(photograph.crop(part)) for part in parts]
train, test = (ImageSet.held(encode_pixels(encoder, some)) for some in (images[:5], images[5:]))
for neighbours in (1, 9):
    ours = PatchCore(coreset_ratio=1, reweight=neighbours)
    settings = {"layers": LAYERS, "coreset_sampling_ratio": 1.0, "num_neighbors": neighbours}
    theirs = Anomalib(settings=tuple(settings.items()), image_size=64)
    ours_NP, theirs_NP = (
        each.fit(train, seed=0, compute=InProcess()).score(test) for each in (ours, theirs)
    )
    np.testing.assert_allclose(theirs_NP[:, 0], ours_NP.max(axis=1), rtol=1e-3)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment with this package and the plug-in, both from their wheels."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    folder = sources(tmp_path_factory.mktemp("source"))
    for project in (folder, folder / PLUGIN.relative_to(ROOT)):
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
    assert set(table["method"]) == {"PatchCore", "anomalib Patchcore", "anomalib Stfpm"}
    assert table["image AUROC"].between(0, 1).all()
    again = installed.run("meds-bench", *words, *methods, cwd=tmp_path)
    assert COUNTS.search(again.stdout).groups() == ("3", "3", "0")


def test_a_detector_is_fitted_to_a_folder_and_scores_new_images(installed, tmp_path):
    folder, rng = tmp_path / "photographs", np.random.default_rng(0)
    folder.mkdir()
    for number in range(8):
        pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    words = ["fit", "photographs", "--method", "anomalib_patchcore", "--image-size", "64"]
    fit = installed.run("meds-bench", *words, "--out", "detector", cwd=tmp_path)
    assert fit.returncode == 0, fit.stderr
    predict = installed.run("meds-bench", "predict", "detector", "photographs", cwd=tmp_path)
    assert predict.returncode == 0, predict.stderr


def in_process(code):
    """Run code that imports the plug-in from its folder, with the packages of this environment."""
    path = f"{ROOT}:{PLUGIN}"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_patchcores_give_the_same_image_scores_where_they_keep_all_patches():
    """Their features then differ by half precision alone; a coreset also depends on where its search starts."""
    done = in_process(SAME)
    assert done.returncode == 0, done.stderr


def test_studies_are_listed_without_an_import_of_anomalib():
    done = in_process("import sys, meds_bench_anomalib.study; sys.exit('anomalib' in sys.modules)")
    assert done.returncode == 0, done.stderr
