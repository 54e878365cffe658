"""Files for clusters: as far as they can be checked without one, they are what their programs read."""

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
import tyro
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from sweeps.launch.options import Options
from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
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


def test_the_ray_job_has_what_kuberay_asks_for_and_ends():
    spec = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())["spec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["activeDeadlineSeconds"] > 3600
    assert spec["ttlSecondsAfterFinished"] >= 0
    assert isinstance(yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"], dict)
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    head, workers = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    for group in workers:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert group["groupName"]
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert container["name"]
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_the_cluster_of_machines_is_guarded_by_a_token_that_only_its_owner_reads(tmp_path):
    config = yaml.safe_load((FOLDER / "ray-up.yaml").read_text())
    for command in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        guarded = "RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/shared/ray-token " in command
        assert guarded == (" start " in command)
    (fill_missing,) = config["head_setup_commands"]
    fill_missing = fill_missing.replace("/shared", str(tmp_path))
    tokens = []
    for _ in range(2):
        subprocess.run(["bash", "-c", fill_missing], check=True)
        tokens.append((tmp_path / "ray-token").read_text())
    assert re.fullmatch("[0-9a-f]{64}", tokens[0])
    assert tokens[0] == tokens[1]
    assert (tmp_path / "ray-token").stat().st_mode & 0o077 == 0


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
    options = studied(shlex.split(command.replace('"$study"', "rho").removesuffix(" &")))
    assert options.study == "rho"
    requests = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", text, re.M)
    assert {"nodes", "time", "signal"} <= set(requests)


PRETEND = {
    "scontrol": "echo first; echo second",
    "srun": 'while [[ $1 == --* ]]; do shift; done; [[ $1 == hostname ]] && echo 10.0.0.1 || exec "$@"',
    "sleep": "exit",
    ".venv/bin/ray": """
[[ $2 == --head ]] || until (($(wc -l < asked) > 6)); do /bin/sleep 0.01; done
echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN $SRUN_CPUS_PER_TASK $*" >> started
exec /bin/sleep 600""",
    ".venv/bin/python": """
if [[ $1 == -c ]]; then
  echo >> asked
  (($(wc -l < asked) % 3 == 0)) || exit 1
  until (($(cat started | wc -l) > $(wc -l < asked) / 9)); do /bin/sleep 0.01; done
  wc -l < started
else
  echo "$(wc -l < started) $*" > driver
  exec /usr/bin/env python3 -c '
import pathlib, time
try:
    pathlib.Path("working").touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path("stopped").touch()
    raise SystemExit(7)'
fi""",
}
"""Slurm, Ray and the driver, as far as the script meets them.

Only every third time the cluster answers: first with its head, then with its head alone once more, then with all nodes.
The driver's exit code is one that no signal gives, so that the script can have it from the driver alone.
"""


def test_the_slurm_script_waits_for_all_nodes_and_hands_the_signal_to_the_driver(tmp_path):
    for name, body in PRETEND.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/bash\n{body}\n")
        file.chmod(0o755)
    slurm = {
        "SLURM_JOB_NODELIST": "x",
        "SLURM_CPUS_PER_TASK": "3",
        "SLURM_GPUS_ON_NODE": "2",
    }
    environment = {**os.environ, **slurm, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", FOLDER / "slurm.sh", "rho", "mtd", "/shared/data"]
    # A shell cannot trap what was ignored when it began, as Ctrl-C is in what a script starts in the background.
    heard = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    job = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **heard)
    with job:
        try:
            wait_until((tmp_path / "working").exists)
            # Having started the driver, the script has set its trap when it sleeps.
            wait_until(lambda: psutil.Process(job.pid).status() == psutil.STATUS_SLEEPING)
            job.send_signal(signal.SIGINT)
            assert job.wait(PATIENCE) == 7
        finally:
            os.killpg(job.pid, signal.SIGTERM)  # what pretends to be Ray is in its group
    assert (tmp_path / "stopped").exists()
    assert (tmp_path / "driver").read_text().startswith("2 -m sweeps rho --profile mtd")
    started = [line.split() for line in (tmp_path / "started").read_text().splitlines()]
    assert {tuple(words[:2]) for words in started} == {("token", started[0][1])}
    assert re.fullmatch("[0-9a-f]{64}", started[0][1])
    for words in started:  # a step has the cores of its node, and Ray offers what Slurm gave
        assert words[2] == "3"
        assert {"--num-cpus=3", "--num-gpus=2", "--block"} <= set(words)


def test_the_image_copies_what_is_there_and_installs_from_the_lock():
    text = (FOLDER / "Dockerfile").read_text()
    instructions = [line.split()[0] for line in text.splitlines() if line and line[0].isupper()]
    assert instructions == ["FROM", "ARG", "RUN", "WORKDIR", "COPY", "RUN"]
    (packages,) = re.findall(r"apt-get install (.*?) &&", text)
    assert {"git", "make"} <= set(packages.split())
    for extra in ("cpu", "gpu"):
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    assert "--constraint requirements/lock.txt" in text


def test_the_image_leaves_out_what_git_leaves_out_and_git_itself():
    ignored = {line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"}
    assert {".git", ".venv", "cache", "runs"} <= ignored
    for line in (ROOT / ".gitignore").read_text().splitlines():
        assert ignored & {line.strip("/"), f"**/{line.strip('/')}"}, line


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_every_file_says_how_it_is_used_in_about_ten_lines(file):
    lines = file.read_text().splitlines()
    body = lines[1:] if lines[0].startswith("#!") else lines
    first = next(i for i, line in enumerate(body) if not line.startswith("#") or "SBATCH" in line)
    assert 6 <= first <= 14
