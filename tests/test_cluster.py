"""Ray: the same bits however the work is shared, studies that resume, failures that are recorded. One real cluster."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.cluster.on_ray import OnRay, hire
from harness.cluster.session import seats, slots
from harness.cluster.sharing import Sharing
from harness.cluster.sweep import TRIAL, sweep
from harness.compute import InProcess
from harness.detectors import MemoryDetector
from harness.errors import InputError
from harness.experiment import run_prepared
from harness.features import CategoryFeatures
from harness.maps import DINOMALY
from harness.meds import MeDS
from harness.memory_stage import ScoreRequest, fill_scores
from harness.noise import Noise
from harness.optimizer import Training
from harness.phases import NativeLoss, Normal, Phase
from harness.training import build, patch_scores, run_phase
from tests.lose_a_node import IMAGES, MEMORIES, Disturbed, score_requests
from tests.small import NETWORK
from tests.studies import study_of

pytestmark = pytest.mark.ray

OTHERS = ("RAY_", "MLFLOW_", "PYTHONUNBUFFERED")
"""Settings of this process that a command of a user has not."""
SHORT = Training(steps=5, batch_size=4)


@pytest.fixture
def on_ray(ray_cluster, tmp_path):
    return OnRay(tmp_path)


@pytest.fixture
def phase(small):
    images = small.train_images
    torch.manual_seed(0)
    reference = patch_scores(build(NETWORK, images), images)
    return Phase(
        network=NETWORK,
        images=images,
        training=SHORT,
        objective=NativeLoss(),
        selector=Normal(reference),
    )


def score_bytes(requests):
    return [(request.entry / "scores.npy").read_bytes() for request in requests]


@pytest.fixture(scope="module")
def undisturbed_scores(tmp_path_factory):
    """What one process computes, to the bit."""
    requests = score_requests(tmp_path_factory.mktemp("undisturbed"))
    fill_scores(requests, compute=InProcess())
    return score_bytes(requests)


@pytest.mark.parametrize("actors", [1, 2, 3])
def test_memory_scores_are_the_same_bits_on_any_number_of_actors(
    undisturbed_scores, on_ray, actors, tmp_path
):
    requests = score_requests(tmp_path)
    with hire(actors) as crew:
        fill_scores(requests, compute=replace(on_ray, crew=crew))
    assert score_bytes(requests) == undisturbed_scores


@pytest.mark.parametrize(
    "detector", [PatchCore(), SoftPatch(), InReaCh(min_channel_length=1, std_factor=None)]
)
def test_methods_give_the_same_bits_on_any_number_of_actors(small, on_ray, detector):
    images = small.train_images
    expected = detector.fit(images, seed=3, compute=InProcess()).score(images)
    for actors in (1, 2):
        with hire(actors) as crew:
            found = detector.fit(images, seed=3, compute=replace(on_ray, crew=crew)).score(images)
        assert found.tobytes() == expected.tobytes()


def square_and_process(number):
    time.sleep(0.05)
    if number < 0:
        raise ArithmeticError(f"{number} is negative")
    return number**2, os.getpid()


@pytest.mark.parametrize("actors", [0, 1])
def test_a_process_works_on_its_items_with_whoever_has_joined_it(ray_cluster, actors):
    numbers = list(range(40))
    with hire(actors) as crew:
        if actors:
            list(crew.results(square_and_process, [1]))  # it has started
        squares, processes = zip(
            *crew.results(square_and_process, numbers, own_hands=True), strict=True
        )
        assert list(squares) == [number**2 for number in numbers]
        assert os.getpid() in processes
        assert len(set(processes)) == 1 + actors
        with pytest.raises(ArithmeticError, match="-3 is negative"):
            list(crew.results(square_and_process, [1, 2, -3, -4], own_hands=True))


def test_a_process_that_works_itself_hands_out_whatever_was_finished_meanwhile(ray_cluster):
    driver = os.getpid()

    def slow_here(number):
        time.sleep(0.2 * (os.getpid() == driver))
        return os.getpid()

    with hire(2) as crew:
        list(crew.results(slow_here, range(8)))  # both have started
        done_here = list(crew.results(slow_here, range(40), own_hands=True)).count(driver)
    assert done_here <= 10  # four for every one of its own; two, if it collected one at a time


def test_an_actor_that_dies_in_mid_pass_costs_nothing_but_time(
    undisturbed_scores, on_ray, tmp_path
):
    requests = score_requests(tmp_path)
    with hire(2) as crew:
        (victim, *_) = set(crew.results(lambda _: os.getpid(), range(8)))
        compute = Disturbed(replace(on_ray, crew=crew), [lambda: os.kill(victim, signal.SIGKILL)])
        fill_scores(requests, compute=compute)
    assert not compute.faults
    assert score_bytes(requests) == undisturbed_scores


@pytest.mark.slow
def test_a_node_that_dies_in_mid_pass_costs_nothing_but_time(undisturbed_scores, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
    command = [sys.executable, "-m", "tests.lose_a_node", str(tmp_path)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (features,) = tmp_path.glob("features")
    requests = [
        ScoreRequest(CategoryFeatures(features), np.arange(0, IMAGES, 2), memory)
        for memory in MEMORIES
    ]
    assert score_bytes(requests) == undisturbed_scores


def test_results_come_in_order_and_no_actor_waits_for_a_slow_one(on_ray):
    def sleep(item):
        time.sleep(2 if item == 0 else 0.02)
        return item, os.getpid()

    with hire(2) as crew:
        results = list(replace(on_ray, crew=crew).map(sleep, range(12), label="uneven"))
    assert [item for item, _ in results] == list(range(12))
    of_slow = [item for item, process in results if process == results[0][1]]
    assert len(of_slow) <= 3  # those it was handed in advance


def test_as_many_items_as_actors_are_one_each(on_ray):
    def sleep(item):
        time.sleep(1)
        return os.getpid()

    with hire(3) as crew:
        list(crew.results(sleep, range(6)))
        assert len(set(crew.results(sleep, range(3)))) == 3


def test_the_first_items_error_arrives_as_it_was_raised(on_ray):
    def refuse(item):
        time.sleep(2 - item)
        raise InputError(f"item {item} is no good")

    with hire(2) as crew, pytest.raises(InputError, match=r"^item 1 is no good$"):
        list(replace(on_ray, crew=crew).map(refuse, [1, 2], label="refusing"))


def test_an_actor_that_dies_costs_nothing_but_time(on_ray, tmp_path):
    def die_once(item):
        marker = tmp_path / "died"
        if item == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item

    with hire(3) as crew:
        mapped = replace(on_ray, crew=crew).map(die_once, range(8), label="dying")
        assert list(mapped) == [i * i for i in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_ray_train_gives_the_same_bits_as_this_process(on_ray, phase):
    here = InProcess().train(run_phase, phase)
    there = on_ray.train(run_phase, phase)
    assert pickle.dumps(here.state) == pickle.dumps(there.state)
    np.testing.assert_array_equal(here.losses_T, there.losses_T)
    assert [step for step, _ in here.selections] == [step for step, _ in there.selections]


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """A detector that cannot be fitted: it raises, or takes its process with it."""

    how: str
    name = "breaks"
    maps = DINOMALY

    def fit(self, images, *, seed, compute):
        if self.how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ArithmeticError("this one cannot work")

    def score(self, images):
        raise AssertionError("never fitted")


@pytest.mark.slow
def test_a_study_records_results_and_failures_once_and_resumes(small, ray_cluster, tmp_path):
    good = [
        small.experiment(MemoryDetector(), noise=Noise(ratio=0.2)),
        small.experiment(MeDS(network=NETWORK, distillation=SHORT, finetuning=SHORT)),
    ]
    bad = [small.experiment(Breaks(how=how)) for how in ("raises", "dies")]
    plan = study_of([*good, *bad], small, tmp_path)
    tracker, digest = plan.tracker, small.prepared.data_digest
    summary = sweep(plan)
    assert summary.finished == 2
    assert not list((tmp_path / "checkpoints").iterdir())  # those of finished experiments go
    assert len(summary.failures) == 2
    assert any("this one cannot work" in reason for _, reason in summary.failures)
    assert tracker.finished_keys(digest) == {experiment.key for experiment in good}

    client = MlflowClient(tracking_uri=tracker.uri)
    runs = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    states = [run.info.status for run in runs if "meds.key" in run.data.tags]
    assert sorted(states) == ["FAILED", "FAILED", "FINISHED", "FINISHED"]
    reasons = [run.data.tags.get("meds.failure", "") for run in runs]
    assert any("ArithmeticError: this one cannot work" in reason for reason in reasons)

    table = tracker.load("small")
    for experiment in good:
        here = run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())
        of_run = table[(table["key"] == experiment.key) & table["metric"].str.startswith("image_")]
        names = ["category", "readout", "metric"]
        logged = of_run.set_index(names)["value"].sort_index()
        assert logged.index.is_unique
        ours = here.metrics.set_index(names)["value"]
        np.testing.assert_array_equal(logged, ours[logged.index])


@pytest.mark.parametrize("workers", [0, 1, 2, 3, 4])
def test_experiments_and_their_workers_fit_into_the_cluster(ray_cluster, workers):
    count, of_experiment = seats(Sharing(workers=workers))
    _, of_worker = slots()
    taken = TRIAL + of_experiment["num_cpus"] + workers * of_worker["num_cpus"]
    assert count * taken <= 4 < (count + 1) * max(1, workers)


def test_more_workers_than_the_cluster_has_room_for_are_refused(small, ray_cluster, tmp_path):
    with pytest.raises(InputError, match=r"^5 workers .* has room for 4"):
        sweep(study_of([], small, tmp_path, workers=5))


@pytest.mark.slow
def test_a_stopped_driver_leaves_a_study_that_goes_on(tmp_path):
    """End the command softly, then by force, when something is finished; the same command runs the rest, once."""
    command = [sys.executable, "-m", "sweeps", "rho", "--profile", "smoke"]
    command += ["--noise", "0", "0.4", "--rho", "0.5"]
    command += ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    database = tmp_path / "runs" / "mlflow.db"

    code, printed = stopped(command, signal.SIGINT)
    assert code == 130
    assert "Stopped. What is finished is kept; the same command goes on from here." in printed[-1]
    assert not any("Traceback" in line for line in printed)
    states = run_states(database)
    assert {state for _, state in states.values()} <= {"FINISHED", "KILLED"}
    first = finished(states)
    assert 1 <= len(first) < 5

    _, printed = stopped(command, signal.SIGKILL)
    assert f"6 experiments, {len(first)} finished" in "".join(printed)
    second = finished(run_states(database))
    assert first.items() < second.items()
    assert len(second) < 6

    again = subprocess.run(command, capture_output=True, **as_a_user())
    assert again.returncode == 0, again.stderr
    assert f"6 experiments, {len(second)} finished" in again.stdout
    states = run_states(database)
    assert len(states) == len(finished(states)) == 6
    assert second.items() <= finished(states).items()
    assert (tmp_path / "runs" / "rho" / "smoke.html").is_file()


def as_a_user():
    environment = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
    return {"cwd": Path(__file__).parents[1], "env": environment, "text": True}


def stopped(command: list[str], how: signal.Signals) -> tuple[int, list[str]]:
    """Run a command until an experiment is finished, then send it a signal; return its code and its lines."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # What a shell starts in the background ignores SIGINT, and so does all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **as_a_user(),
    ) as driver:
        printed = []
        while not any("image AUROC" in line for line in printed):
            printed.append(driver.stdout.readline())
            assert printed[-1], "".join(printed)
        driver.send_signal(how)
        printed += driver.stdout.readlines()
    time.sleep(2)  # what a killed driver had started ends, too
    return driver.returncode, printed


def finished(states: dict[str, tuple[str, str]]) -> dict[str, str]:
    """Run id by key of what is finished."""
    return {key: run for key, (run, state) in states.items() if state == "FINISHED"}


def run_states(database: Path) -> dict[str, tuple[str, str]]:
    """(run id, status) by key of the experiments; fails if a key has two runs."""
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    runs = client.search_runs([client.get_experiment_by_name("rho").experiment_id])
    keyed = [run for run in runs if "meds.key" in run.data.tags]
    found = {run.data.tags["meds.key"]: (run.info.run_id, run.info.status) for run in keyed}
    assert len(found) == len(keyed)
    return found
