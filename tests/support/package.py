"""Wheels of this project and of plug-ins, and virtual environments that install them without an index."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from subprocess import CompletedProcess

from tests.support.commands import ROOT, as_a_user
from tests.support.waiting import PATIENCE


def sources(folder: Path) -> Path:
    """Copy the files of the project that git tracks or would track, without the tests, from which a wheel is built."""
    listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(["git", *listed], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, found.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the setuptools of this environment."""
    words = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    _call([sys.executable, "-m", "pip", "wheel", "--quiet", *words, str(project)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Environment:
    """A virtual environment that borrows the dependencies of this one, but none of its editable packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        (self.packages,) = folder.glob("lib/python*/site-packages")
        # Python searches such a path last, and does not read the .pth files of editable packages below it.
        (self.packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    def install(self, wheel: Path) -> None:
        """Install a wheel without its dependencies and without an index."""
        words = ["--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
        python = str(self.bin / "python")
        _call([sys.executable, "-m", "pip", "--python", python, "install", *words])

    def run(self, program: str, *arguments: str, cwd: Path) -> CompletedProcess[str]:
        """Run a program of the environment as a user does, with no way back to the checkout."""
        user = as_a_user()
        env = {k: v for k, v in user["env"].items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        command = [str(self.bin / program), *arguments]
        return subprocess.run(
            command,
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
