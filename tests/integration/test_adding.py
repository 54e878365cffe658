"""The files of docs/adding.md, written where they say, make a study that runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support.prose import faults_of, texts_of_module

PROJECT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)


LISTING = """
import importlib
from sweeps.profiles import PROFILES
for name in ("baselines", "mvtec_ad", "systems"):
    cells = importlib.import_module(f"sweeps.{name}").experiments(PROFILES["smoke"])
    print(name, sum(cell.detector.title == "mean patch" for cell in cells))
"""
"""Prints for each standard study its number of experiments with the new baseline."""


def images(folder, count, rng, *, bad=False):
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = rng.normal(120, 10, (64, 64, 3))
        if bad:
            pixels[20:44, 20:44] += 90
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the files added, and where they are."""
    for package in ("harness", "baselines", "sweeps", "reports"):
        shutil.copytree(PROJECT / package, tmp_path / package)
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    blocks = BLOCK.findall((PROJECT / "docs" / "adding.md").read_text())
    assert len(blocks) == 5
    for path, text in blocks:
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    return tmp_path, [path for path, _ in blocks]


def python(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.ray
def test_what_the_document_adds_runs_as_a_study(project):
    folder, _ = project
    rng = np.random.default_rng(0)
    for kind, count in (("train", 12), ("good", 6), ("bad", 8)):
        images(folder / "images" / "bolt" / kind, count, rng, bad=kind == "bad")
    check = python(folder, "harness", "check", "parts", "--data", "images")
    assert check.returncode == 0, check.stderr
    assert "A run would work." in check.stdout
    study = ["sweeps", "first_look", "--profile", "smoke", "--data", "images"]
    # One at a time: each process that starts imports torch.
    run = python(folder, *study, "--max-concurrent", "1")
    assert run.returncode == 0, run.stderr
    table = pd.read_csv(folder / "runs" / "first_look" / "smoke.csv")
    assert set(table["method"]) == {"mean patch", "plain network"}
    means = table[table["readout"] == "all"]  # of one category, which is its own mean
    assert len(means) == 4
    clean = means[means["noise"] == 0].set_index("method")["image AUROC"]
    assert clean["mean patch"] > 0.9
    assert (folder / "runs" / "first_look" / "smoke.png").stat().st_size > 10_000


def test_one_line_in_a_profile_adds_the_baseline_to_the_standard_studies(project):
    folder, _ = project
    profiles = folder / "sweeps" / "profiles" / "local.py"
    text = profiles.read_text()
    last = "FunAD(epochs=4, batch_size=8, learning_rate=2e-4, equal=1e-4),"
    assert text.count(last) == 1
    text = text.replace(last, f"{last} MeanPatch(),")
    profiles.write_text(
        text.replace(
            "from baselines", "from baselines.mean_patch import MeanPatch\nfrom baselines", 1
        )
    )
    (folder / "listing.py").write_text(LISTING)
    run = python(folder, "listing")
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["baselines", "2", "mvtec_ad", "2", "systems", "2"]


def test_the_document_is_in_the_style_of_the_code(project):
    folder, paths = project
    faults = [
        str(fault)
        for path in paths
        for text in texts_of_module(folder / path, path)
        for fault in faults_of(text)
    ]
    assert not faults, "\n".join(faults)
    for verb in (["check"], ["format", "--check"]):
        run = python(folder, "ruff", *verb, "--no-cache", *paths)
        assert run.returncode == 0, run.stdout
