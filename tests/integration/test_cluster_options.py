"""Where studies work: what cannot work is refused before anything runs, and what is asked for is what Ray books."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cluster.options import ClusterOptions
from harness.cluster.resources import Resources
from harness.errors import InputError, UsageError
from tests.support.commands import ROOT, command, refused
from tests.support.waiting import PATIENCE


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"retries": -1}, "must be 0 or more, got 0 and -1"),
        ({"max_concurrent": 0}, "--max-concurrent must be 1 or more, got 0"),
        ({"gpus_per_trial": 0.0}, "must be in (0, 1], got 0"),
        ({"gpus_per_trial": 2.0}, "For more GPUs per training use --workers"),
        ({"gpus_per_trial": 0.5, "workers": 2}, "2 workers per training take a GPU each"),
    ],
)
def test_shares_that_cannot_work_are_refused(wrong, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        Resources(**wrong)


def test_a_storage_that_is_no_folder_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(InputError, match="not/mounted is not a folder on this machine"):
        ClusterOptions(storage="not/mounted")


def test_an_address_that_nothing_here_can_open_is_refused_before_anything_runs(tmp_path):
    assert "Protocol not known: nonsense" in refused(tmp_path, "--storage", "nonsense://bucket/x")


def test_with_an_address_runs_and_cache_are_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ClusterOptions(storage="file://remote")
    assert where.remote_url == (tmp_path / "remote").as_uri()
    assert (where.runs_dir, where.cache_dir) == (Path("runs"), Path("cache"))
    assert ClusterOptions().remote_url is None


def test_a_storage_without_permission_is_refused(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        ClusterOptions(storage=str(tmp_path))


def test_runs_and_cache_are_in_the_storage_unless_they_are_absolute(tmp_path):
    where = ClusterOptions(storage=str(tmp_path))
    assert (where.runs_dir, where.cache_dir) == (tmp_path / "runs", tmp_path / "cache")
    elsewhere = Path("/elsewhere/cache")
    assert ClusterOptions(storage=str(tmp_path), cache=elsewhere).cache_dir == elsewhere
    assert ClusterOptions().runs_dir == Path("runs")


def test_a_dry_run_looks_into_the_storage_and_counts_what_runs_at_once(tmp_path):
    arguments = ("rho", "--profile", "smoke", "--limit", "1", "--storage", str(tmp_path))
    answer = command("sweeps", *arguments, "--dry-run", "--max-concurrent", "1")
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "cache" / "textures-smoke").is_dir()
    assert f"GB in {tmp_path / 'cache'}" in answer.stdout
    assert ("1 experiments at once" in answer.stdout) == ("on 1 " not in answer.stdout)


@pytest.mark.ray
def test_at_most_so_many_experiments_run_at_once_and_no_gpu_is_no_gpu_to_share(ray_cluster):
    from harness.cluster.session import max_concurrent_trials

    assert max_concurrent_trials(Resources())[0] == 4
    assert max_concurrent_trials(Resources(max_concurrent=3))[0] == 3
    assert max_concurrent_trials(Resources(max_concurrent=9))[0] == 4
    assert max_concurrent_trials(Resources(max_concurrent=9, workers=2))[0] == 2
    with pytest.raises(InputError, match="this cluster has no GPU to share"):
        max_concurrent_trials(Resources(gpus_per_trial=0.5))


SHARED = """
import sys
from pathlib import Path
import ray
from harness.cluster.ray_compute import start_pool
from harness.cluster.resources import Resources
from harness.cluster.session import max_concurrent_trials
from tests.support.waiting import wait_until

begun, end = Path(sys.argv[1], "begun"), Path(sys.argv[1], "end")
begun.mkdir()
ray.init("local", num_cpus=8, num_gpus=2, include_dashboard=False, logging_level="ERROR")
count, resources = max_concurrent_trials(Resources(gpus_per_trial=0.5))

@ray.remote
def work(number):
    (gpu,) = ray.get_gpu_ids()
    (begun / f"{number} {gpu}").touch()
    wait_until(end.exists)

tasks = [work.options(**resources).remote(number) for number in range(count + 1)]
wait_until(lambda: len(list(begun.iterdir())) >= count)
wait_until(lambda: ray.available_resources().get("GPU", 0) < resources["num_gpus"])
print(count, sorted(int(path.name.split()[1]) for path in begun.iterdir()))
end.touch()
ray.get(tasks)
print(max_concurrent_trials(Resources(gpus_per_trial=0.1))[0], max_concurrent_trials(Resources())[0])
actors = Path(sys.argv[1], "actors")
actors.mkdir()

def meet(item):
    (gpu,) = ray.get_gpu_ids()
    (actors / str(gpu)).touch()
    wait_until(lambda: len(list(actors.iterdir())) == 2)
    return int(gpu)

with start_pool() as pool:
    print(sorted(pool.results(meet, range(2))))
"""


@pytest.mark.slow
@pytest.mark.ray
def test_experiments_share_gpus_and_no_more_than_asked_for(tmp_path):
    """Four work at the same time, and Ray has booked the GPUs, so a fifth waits. Ray needs no real GPU for this."""
    program = [sys.executable, "-c", SHARED, str(tmp_path)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    first, second, actors = done.stdout.strip().splitlines()
    assert first == "4 [0, 0, 1, 1]"
    assert actors == "[0, 1]"  # an actor for blocks of distances has a GPU of its own
    assert second == "8 2"  # of twenty shares only as many as there are cores
