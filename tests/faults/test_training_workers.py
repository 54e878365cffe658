"""A worker process of Ray Train that is killed: its training goes on from its last checkpoint, now or the next time."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from harness.cluster.ray_compute import RayCompute
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess
from tests.faults.processes import find, titled
from tests.faults.smoke_study import SmokeStudy, assert_failures_have_reasons, assert_nothing_lost
from tests.support.kill import DieOnce
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.ray, pytest.mark.faults]

WORKER = "ray::RayTrainWorker"


def shared(folder):
    """One experiment, MeDS, whose two trainings are shared by two worker processes each."""
    options = (
        "--noise",
        "0.4",
        "--rho",
        "0.5",
        "--method",
        "meds",
        "--limit",
        "1",
        "--workers",
        "2",
    )
    return SmokeStudy(folder / "runs", folder / "cache", options=options, count=1)


@pytest.fixture(scope="module")
def undisturbed_training(tmp_path_factory):
    study = shared(tmp_path_factory.mktemp("undisturbed_training"))
    code, text = study.run()
    assert code == 0, text
    return study.values()


def test_a_worker_that_dies_in_training_is_started_again(undisturbed_training, tmp_path):
    """Injected: a worker of the first training is killed as soon as it is there.

    Must hold: both of its training are started again, the code is 0, and the bits are the same.
    """
    study = shared(tmp_path)
    code, text = study.run(start=lambda driver: find(driver.pid, WORKER).kill())
    assert code == 0, text
    assert_nothing_lost(study, undisturbed_training)


def test_training_goes_on_from_its_checkpoint_in_the_next_command(undisturbed_training, tmp_path):
    """Injected: a worker of the second training is killed, where none may be started again (--retries 0).

    Must hold: the failure is recorded with its reason, with code 1; the same command finishes the experiment once, with
    the same bits, and does not repeat the first training: its losses come from the checkpoint.
    """
    study = shared(tmp_path)
    code, text = study.run(
        start=lambda driver: kill_second_training(driver, study), more=("--retries", "0")
    )
    assert code == 1
    assert_failures_have_reasons(study, text)
    (kept,) = study.cache.glob("checkpoints/*/*.checkpoint")

    code, text = study.run(more=("--retries", "0"))
    assert code == 0, text
    assert_nothing_lost(study, undisturbed_training)
    assert not kept.exists()
    first, second = (written(study, f"{phase}_loss") for phase in ("distillation", "finetuning"))
    assert min(first) > max(second)  # written with the result, not while it trained


def kill_second_training(driver, study):
    """Kill a worker that was not there yet when the first training was saved."""
    wait_until(lambda: list(study.cache.glob("checkpoints/*/*.checkpoint")))
    first = {process.pid for process in titled(driver.pid, WORKER)}
    find(driver.pid, WORKER, but=first).kill()


def written(study, name):
    """When the points of a curve were written."""
    (run,) = study.states().values()
    client = MlflowClient(tracking_uri=study.tracker.uri)
    return [point.timestamp for point in client.get_metric_history(run.info.run_id, name)]


@dataclass(frozen=True)
class Deadly:
    """Ray Train, whose worker dies by force after two steps, once."""

    folder: Path

    def train(self, loop, job):
        return RayCompute(self.folder, workers=1).train(die_once, (loop, job, self.folder))


def die_once(world, given):
    loop, job, folder = given
    checkpoints = Checkpoints(folder / "checkpoints", every=1)
    report = DieOnce(2, folder / "died")
    return loop(replace(world, report=report, checkpoints=checkpoints), job)


def test_a_student_goes_on_after_its_worker_has_died(small, ray_cluster, tmp_path):
    category = small.train_images.categories[0]
    images = replace(small.train_images, categories=(category,))
    student = EfficientAD(teacher="random", image_size=64, width=16, steps=3, batch_size=4)
    disturbed = AD2(student=student).fit(images, seed=0, compute=Deadly(tmp_path))
    assert (tmp_path / "died").exists()
    undisturbed = AD2(student=student).fit(images, seed=0, compute=InProcess())
    disturbed, undisturbed = (d.history["training 0"] for d in (disturbed, undisturbed))
    assert pickle.dumps(disturbed.state) == pickle.dumps(undisturbed.state)
