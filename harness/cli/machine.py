"""What stands in the way of a study on this machine: each fault with its fix, before anything long is started."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.runtime.remote import RemoteStore, absolute

LEAST_DISK = 5e9
"""Bytes that studies on a laptop may take."""
LEAST_FILES = 1024
"""Files that a process must be allowed to have open: Ray opens many."""
LEAST_SHARED = 1e9
"""Bytes of shared memory below which Ray's object store moves to disk and everything is slow."""
SHARED = Path("/dev/shm")
NVIDIA = Path("/proc/driver/nvidia/version")
"""There where the driver of an NVIDIA GPU is loaded."""
PACKAGES = ("torch", "ray", "mlflow", "scipy", "skimage", "faiss")


@dataclass(frozen=True)
class Answer:
    """What one check found."""

    what: str
    sound: bool
    text: str
    """What was found; of a fault also what to do."""


def examine(checks: Iterable[tuple[str, Callable[[], str]]]) -> list[Answer]:
    """Run checks; one that raises an InputError has found a fault."""
    answers = []
    for what, check in checks:
        try:
            answers.append(Answer(what, True, check()))
        except InputError as error:
            answers.append(Answer(what, False, str(error)))
    return answers


def python() -> str:
    """Version of Python, and that all packages can be imported."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise InputError(
                f"Package {name} cannot be imported ({error}). Make the environment anew: rm -r .venv && make install."
            ) from error
    return f"{sys.version.split()[0]}, all packages import"


def encoder() -> str:
    """That the shipped encoder loads with its weights."""
    from harness.features.backbone import load_model
    from harness.features.encoder import Encoder

    model = load_model(Encoder())
    weights = sum(parameter.numel() for parameter in model.parameters())
    return f"{Encoder().name}, {weights / 1e6:.1f} M weights"


def gpu() -> str:
    """GPUs, and that torch can use those that are there."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"{len(names)}: {', '.join(names)}"
    if NVIDIA.exists():
        raise InputError(
            f"There is an NVIDIA GPU, but torch {torch.__version__} cannot use it: it is a CPU build, or the "
            "driver is too old. Make the environment anew with the extra `gpu`: make install EXTRA=gpu."
        )
    return f"none; everything runs on {os.cpu_count()} cores"


def disk(folders: Iterable[Path]) -> str:
    """Free space where results and cache go, and that they can be written."""
    texts = []
    for folder in folders:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        if free < LEAST_DISK:
            raise InputError(
                f"{folder} has {free / 1e9:.1f} GB free and a study may take {LEAST_DISK / 1e9:.0f}. Make room, or "
                "name another place with --cache and --runs."
            )
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise InputError(
                f"{there} cannot be written ({error.strerror}). Name another place with --cache and --runs."
            ) from error
        texts.append(f"{folder}: {free / 1e9:.0f} GB free")
    return ", ".join(texts)


def storage(url: str) -> str:
    """That a file can be written at an address, read there and removed."""
    with tempfile.TemporaryDirectory() as folder:
        remote = RemoteStore(Path(folder), absolute(url))
        file = Path(folder, f"doctor-{secrets.token_hex(8)}")
        file.write_text(file.name)
        back = file.with_suffix(".back")
        remote.save(file)
        if not remote.fetch(file, back) or back.read_text() != file.name:
            raise InputError(
                f"The storage {url} does not give back what was just written there. Name one that does at once, or a "
                "folder that all machines see."
            )
        remote.remove(file)
    return f"{url}: can be written, read and cleared"


def limits() -> str:
    """Open files and shared memory."""
    import resource

    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < LEAST_FILES:
        raise InputError(
            f"A process may open {files} files only, and Ray needs more: ulimit -n {min(65536, most)} in the shell "
            "that starts the study."
        )
    shared = shutil.disk_usage(SHARED).total if SHARED.exists() else 0
    if SHARED.exists() and shared < LEAST_SHARED:
        raise InputError(
            f"{SHARED} has {shared / 1e6:.0f} MB, too little for Ray's object store, which then lies on disk and is "
            "slow. In a container: docker run --shm-size=4g."
        )
    return f"{files} open files, {shared / 1e9:.0f} GB of shared memory"
