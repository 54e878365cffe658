"""The package as pip installs it, without a checkout, and its one program."""

import json
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest

from tests.support.commands import ROOT, as_a_user
from tests.support.package import Environment, build_wheel, sources
from tests.support.waiting import PATIENCE

PACKAGES = ("harness", "baselines", "sweeps", "reports", "meds_bench")
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.install(wheel)
    return environment


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(source, wheel):
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {
        file.relative_to(source).as_posix()
        for package in PACKAGES
        for file in (source / package).rglob("*")
        if file.is_file()
    }
    examples = {name for name in files if name.startswith("sweeps/cluster/")}
    assert names == files - examples


@pytest.mark.slow
@pytest.mark.ray
def test_an_installed_package_runs_a_study_in_an_empty_folder(installed, tmp_path):
    where = ["-c", "import harness, sweeps; print(harness.__file__); print(sweeps.__file__)"]
    found = installed.run("python", *where, cwd=tmp_path).stdout.split()
    assert [Path(file).is_relative_to(installed.folder) for file in found] == [True, True]
    part = ["--noise", "0.4", "--rho", "0.5", "--max-concurrent", "1"]  # to save time
    run = installed.run("meds-bench", "run", "rho", "--profile", "smoke", *part, cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "cache"}
    table = pd.read_csv(tmp_path / "runs" / "rho" / "smoke.csv")
    assert {"memory ensemble", "MeDS", "plain network"} < set(table["method"])
    again = installed.run("meds-bench", "report", "rho", "--profile", "smoke", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    nothing = installed.run("meds-bench", "report", "gain", "--profile", "smoke", cwd=tmp_path)
    assert "meds-bench run gain --profile smoke" in " ".join(nothing.stderr.split())
    out = ["--out", "exported"]
    export = installed.run("meds-bench", "export", "rho", "--profile", "smoke", *out, cwd=tmp_path)
    assert export.returncode == 0, export.stderr
    manifest = json.loads((tmp_path / "exported" / "manifest.json").read_text())
    assert "v0.1.0" in json.dumps(manifest)


@pytest.mark.slow
def test_the_program_has_every_verb_and_completes_them(installed, tmp_path):
    said = installed.run("meds-bench", "--help", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    verbs = (
        "run",
        "report",
        "compare",
        "compare-paper",
        "check",
        "contract",
        "rank",
        "fit",
        "predict",
    )
    assert [verb for verb in verbs if not re.search(rf"\b{verb}\b", said.stdout)] == []
    words = ["--tyro-write-completion", "bash", str(tmp_path / "meds-bench.bash")]
    done = installed.run("meds-bench", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    script = (tmp_path / "meds-bench.bash").read_text()
    assert all(text in script for text in ("meds-bench", "predict", "--profile"))


def test_the_example_of_the_readme_is_six_lines_and_prints_a_table(tmp_path):
    (code,) = EXAMPLE.findall((ROOT / "README.md").read_text())
    assert len([line for line in code.splitlines() if line.strip()]) == 6
    user = as_a_user(PYTHONPATH=str(ROOT))
    done = subprocess.run(
        [sys.executable, "-c", code],
        **user | {"cwd": tmp_path},
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "image_auroc" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}
