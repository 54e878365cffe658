"""Files for clusters: as far as they can be checked without one, they are what their programs read."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import tyro
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from sweeps.__main__ import Options

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "sweeps" / "cluster"


def studied(words):
    """Options of a command that runs a study."""
    start = words.index("sweeps") + 1
    return tyro.cli(Options, args=words[start:])


def test_the_ray_job_runs_a_study_on_one_image_everywhere():
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    options = studied(shlex.split(job["spec"]["entrypoint"]))
    assert options.where.address == "auto"
    assert str(options.where.cache).startswith("/shared/")
    assert str(options.where.runs).startswith("/shared/")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1
    for pod in pods:
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    locked = re.search(r"^ray==(\S+)$", (ROOT / "requirements/lock.txt").read_text(), re.M)
    assert cluster["rayVersion"] == locked[1]


def test_the_cluster_of_machines_is_one_that_ray_accepts():
    config = yaml.safe_load((FOLDER / "ray-up.yaml").read_text())
    validate_config(prepare_config(config))
    installing = config["setup_commands"][0]
    assert installing.endswith("install")
    wrong = {**config, "min_workers": "two"}
    with pytest.raises(Exception, match="two"):
        validate_config(wrong)


def test_the_slurm_script_is_sound_and_its_command_runs_a_study():
    script = FOLDER / "slurm.sh"
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text().replace("\\\n", " ")
    command = next(line for line in text.splitlines() if "-m sweeps" in line)
    options = studied(shlex.split(command.replace('"$study"', "rho")))
    assert options.study == "rho"
    requests = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", text, re.M)
    assert {"nodes", "time", "signal"} <= set(requests)


def test_the_image_copies_what_is_there_and_installs_from_the_lock():
    text = (FOLDER / "Dockerfile").read_text()
    instructions = [line.split()[0] for line in text.splitlines() if line and line[0].isupper()]
    assert instructions == ["FROM", "ARG", "RUN", "WORKDIR", "COPY", "RUN"]
    for extra in ("cpu", "gpu"):
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    assert "--constraint requirements/lock.txt" in text


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_every_file_says_how_it_is_used_in_about_ten_lines(file):
    lines = file.read_text().splitlines()
    body = lines[1:] if lines[0].startswith("#!") else lines
    first = next(i for i, line in enumerate(body) if not line.startswith("#") or "SBATCH" in line)
    assert 6 <= first <= 14
