"""Commands as a user types them."""

import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import Any
from unittest import mock

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
OTHERS = ("RAY_", "MLFLOW_", "PYTHONUNBUFFERED", "MAKE", "MFLAGS")
"""Settings of this process that a command of a user has not."""
BUSY_MACHINE = {
    "RAY_worker_niceness": "0",  # by default Ray leaves its workers 3 % of a core that other work wants
    "RAY_worker_register_timeout_seconds": str(PATIENCE),
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(PATIENCE),
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(PATIENCE),
}
"""Settings with which Ray's processes get as much of a busy machine as the tests, and minutes to start."""
WARM = multiprocessing.get_context("forkserver")
WARM.set_forkserver_preload(
    [
        "tyro",
        "sweeps.profiles",
        "sweeps.launch.dry_run",
        "harness.cluster.options",
        "harness.cli.check",
        "harness.cli.rank",
        "harness.cli.pretrain_teacher",
        "reports.pages.document",
        "reports.published.tables",
    ]
)


def as_a_user(**environment: str) -> dict[str, Any]:
    """How to start a subprocess from the root of the project: with a user's environment and `BUSY_MACHINE`."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(OTHERS)}
    return {"cwd": ROOT, "env": {**own, **BUSY_MACHINE, **environment}, "text": True}


def command(
    module: str, *arguments: str, cwd: Path = ROOT, timeout: float = PATIENCE, **environment: str
) -> CompletedProcess[str]:
    """Run `python -m module`, in a fork of a process that has imported already what takes seconds to import.

    Raises:
        TimeoutExpired: it took longer than `timeout` seconds, and was ended.
    """
    with mock.patch.dict(os.environ, as_a_user()["env"], clear=True):
        forkserver.ensure_running()
    env = as_a_user(**environment)["env"]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = WARM.Process(target=_run, args=(module, arguments, cwd, env, out, err))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired([module, *arguments], timeout, out.read_text(), err.read_text())
        return CompletedProcess(
            [module, *arguments], process.exitcode, out.read_text(), err.read_text()
        )


class Shell:
    """Runs one command after another in one process, which is replaced once a command has imported Ray.

    A process of its own per command costs more than most commands that refuse their input.
    """

    def __init__(self, folder: Path, patience: float = PATIENCE) -> None:
        self.folder, self.patience = folder, patience
        self.process: Any = None

    def run(self, module: str, *arguments: str, **environment: str) -> CompletedProcess[str]:
        """Run `python -m module` from the root of the project.

        Raises:
            TimeoutExpired: it took longer than `patience` seconds, and was ended.
        """
        if self.process is None or not self.process.is_alive():
            self._start()
        self.pipe.send((module, arguments, as_a_user(**environment)["env"]))
        if not self.pipe.poll(self.patience):
            self.close()
            raise TimeoutExpired([module, *arguments], self.patience)
        code, out, err, reusable = self.pipe.recv()
        if not reusable:
            self.close()
        return CompletedProcess([module, *arguments], code, out, err)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def _start(self) -> None:
        with mock.patch.dict(os.environ, as_a_user()["env"], clear=True):
            forkserver.ensure_running()
        self.pipe, other = WARM.Pipe()
        self.process = WARM.Process(target=_serve, args=(other, self.folder))
        self.process.start()
        other.close()


def _serve(pipe: Any, folder: Path) -> None:
    out, err = (folder / f"{os.getpid()}.{name}" for name in ("out", "err"))
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    while True:
        module, arguments, env = pipe.recv()
        for file in (out, err):
            os.truncate(file, 0)
        code: Any = 0
        try:
            _call(module, arguments, ROOT, env)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except BaseException:  # noqa: BLE001  (the test reads the traceback)
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send((code, out.read_text(), err.read_text(), "ray" not in sys.modules))


def _call(module: str, arguments: tuple[str, ...], cwd: Path, env: dict[str, str]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _run(
    module: str, arguments: tuple[str, ...], cwd: Path, env: dict[str, str], out: Path, err: Path
) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    _call(module, arguments, cwd, env)


def refused(tmp_path: Path, *arguments: str, code: int = 1) -> str:
    """Run the study `rho` in an empty folder; return the one paragraph it answers with."""
    places = ("--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"))
    answer = command("sweeps", "rho", *arguments, *places)
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert answer.stdout == ""
    assert "\n\n" not in answer.stderr.strip()
    assert not (tmp_path / "runs").exists()
    return " ".join(answer.stderr.split())
