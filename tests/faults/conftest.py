"""What tests of faults share: a study that nothing happened to, and small disks."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import assert_none_left
from tests.faults.smoke_study import SmokeStudy


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Nothing that these tests start outlives them; what they start has a variable by which it is known."""
    marker = f"FAULTS_{os.getpid()}"
    os.environ[marker] = ""
    yield
    del os.environ[marker]
    assert_none_left(marker)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> SmokeStudy:
    """The study, finished in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    study = SmokeStudy(folder / "runs", folder / "cache")
    code, text = study.run()
    assert code == 0, text
    return study


@pytest.fixture
def study(undisturbed, tmp_path) -> SmokeStudy:
    """The study, not begun yet, with images that are drawn and encoded."""
    shutil.copytree(undisturbed.cache, tmp_path / "cache")
    return SmokeStudy(tmp_path / "runs", tmp_path / "cache")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """A folder on a disk of its own of a given size, as `mount -o size=` has it; asked again, it changes the size."""
    folder = tmp_path / "disk"

    def sized(size: str) -> Path:
        again = folder.is_mount()
        folder.mkdir(exist_ok=True)
        option = f"remount,size={size}" if again else f"size={size}"
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this user may not mount a disk here ({getattr(error, 'stderr', error)})")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
