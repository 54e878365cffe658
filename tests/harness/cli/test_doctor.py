"""The doctor: every fault is injected, and names its fix."""

import os
import resource
import sys

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from harness.cli import machine as doctor
from harness.cluster.session import session
from harness.errors import InputError
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from tests.support.commands import command


def test_a_sound_machine_is_called_sound(tmp_path):
    checks = {
        "python": doctor.python,
        "encoder": doctor.encoder,
        "gpu": doctor.gpu,
        "disk": lambda: doctor.disk([tmp_path / "runs"]),
        "limits": doctor.limits,
        "tracking": Tracker(default_uri(tmp_path), "doctor").reach,
    }
    answers = doctor.examine(checks.items())
    assert [answer for answer in answers if not answer.sound] == []
    assert not list(tmp_path.iterdir())


def test_a_fault_does_not_keep_the_other_checks_from_being_made():
    def broken():
        raise InputError("Mend it.")

    answers = doctor.examine([("first", broken), ("second", lambda: "fine")])
    assert [(answer.sound, answer.text) for answer in answers] == [
        (False, "Mend it."),
        (True, "fine"),
    ]


def test_a_package_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"Package faiss cannot be imported.*make install"):
        doctor.python()


def test_a_gpu_that_torch_cannot_use(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "version").touch()
    monkeypatch.setattr(doctor, "NVIDIA", tmp_path / "version")
    with pytest.raises(InputError, match=r"NVIDIA GPU, but torch .* make install EXTRA=gpu"):
        doctor.gpu()


def test_a_full_disk_and_one_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "LEAST_DISK", 0)
    with pytest.raises(InputError, match="cannot be written"):
        doctor.disk(["/proc/self" / tmp_path.relative_to("/")])
    monkeypatch.setattr(doctor, "LEAST_DISK", 1e18)
    with pytest.raises(InputError, match=r"GB free and a study may take .* --cache and --runs"):
        doctor.disk([tmp_path])


class Forgetful(MemoryFileSystem):
    """A storage that takes files and has none."""

    protocol = "forgetful"

    def put_file(self, lpath, rpath, *args, **kwargs):
        """Take a file and drop it."""


def test_a_storage_that_works_and_those_that_do_not(tmp_path):
    assert "can be written, read and cleared" in doctor.storage((tmp_path / "remote").as_uri())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    with pytest.raises(InputError, match="may read and write it"):
        doctor.storage("file:///proc/self/remote")
    fsspec.register_implementation("forgetful", Forgetful)
    with pytest.raises(InputError, match="did not return the file that was just written"):
        doctor.storage("forgetful://remote")


def test_limits_that_ray_would_break(monkeypatch):
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
    try:
        with pytest.raises(InputError, match=r"may open 256 files only.*ulimit -n"):
            doctor.limits()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    monkeypatch.setattr(doctor, "LEAST_SHARED", 1e18)
    with pytest.raises(InputError, match="--shm-size"):
        doctor.limits()


def test_a_tracking_store_that_does_not_answer(tmp_path):
    with pytest.raises(InputError, match="does not answer"):
        Tracker("http://127.0.0.1:9", "doctor").reach()
    (tmp_path / "mlflow.db").write_text("This is no database. " * 99)
    with pytest.raises(InputError, match="not a database"):
        Tracker(default_uri(tmp_path), "doctor").reach()


@pytest.mark.slow
@pytest.mark.ray
def test_trainings_that_would_wait_for_each_other_for_ever(tmp_path):
    places = ("--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"))
    many = str(os.cpu_count() + 1)
    remote = (tmp_path / "remote").as_uri()
    closed = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    options = ("--workers", many, "--storage", remote)
    answer = command("harness", "doctor", *options, *places, **closed)
    assert answer.returncode == 1
    text = " ".join(answer.stdout.split())
    assert f"FAULT capacity {many} workers per training were asked for" in text
    assert "ok dashboard answers on the head" in text
    assert "ok folders 1 machines see" in text
    assert "ok storage file:" in text
    assert "FAULT tracking" in text
    assert "does not answer" in text
    assert "2 faults." in text


@pytest.mark.ray
def test_an_address_where_no_cluster_answers():
    with (
        pytest.raises(InputError, match=r"No Ray cluster answers at 127\.0\.0\.1:9"),
        session("127.0.0.1:9"),
    ):
        pass


@pytest.mark.ray
def test_a_machine_on_which_ray_does_not_start(tmp_path):
    places = ("--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"))
    too_long = str(tmp_path / ("long" * 25))
    answer = command("harness", "doctor", *places, RAY_TMPDIR=too_long)
    assert answer.returncode == 1
    text = " ".join(answer.stdout.split())
    assert "FAULT ray Ray did not start on this machine" in text
    assert "set RAY_TMPDIR to a short path" in text
    assert "1 faults." in text
