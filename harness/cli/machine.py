"""Checks of this machine before a long study; every fault is reported with its fix."""

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
"""Minimum free disk space in bytes; a study on a laptop may need this much."""
LEAST_FILES = 1024
"""Minimum limit on open files per process, because Ray opens many files."""
LEAST_SHARED = 1e9
"""Minimum shared memory in bytes; with less, Ray's object store moves to disk and becomes slow."""
SHARED = Path("/dev/shm")
"""Mount point of the shared memory."""
NVIDIA = Path("/proc/driver/nvidia/version")
"""File that exists if the driver of an NVIDIA GPU is loaded."""
PACKAGES = ("torch", "ray", "mlflow", "scipy", "skimage", "faiss")
"""Packages that must be importable."""


@dataclass(frozen=True)
class Answer:
    """Result of one check."""

    what: str
    """Name of the check."""
    sound: bool
    """True if the check found no fault."""
    text: str
    """Description of the result; for a fault, also the fix."""


def examine(checks: Iterable[tuple[str, Callable[[], str]]]) -> list[Answer]:
    """Run all checks; a check reports a fault by raising an InputError."""
    answers = []
    for what, check in checks:
        try:
            answers.append(Answer(what, True, check()))
        except InputError as error:
            answers.append(Answer(what, False, str(error)))
    return answers


def python() -> str:
    """Check that all packages can be imported; return the Python version."""
    for name in PACKAGES:
        try:
            importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise InputError(
                f"Package {name} cannot be imported ({error}). Recreate the environment: rm -r .venv && make install."
            ) from error
    return f"{sys.version.split()[0]}, all packages import"


def encoder() -> str:
    """Check that the shipped encoder loads with its weights; return its name and number of weights."""
    from harness.features.backbone import load_model
    from harness.features.encoder import Encoder

    model = load_model(Encoder())
    weights = sum(parameter.numel() for parameter in model.parameters())
    return f"{Encoder().name}, {weights / 1e6:.1f} M weights"


def gpu() -> str:
    """Check that torch can use the GPUs of this machine; return their names."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"{len(names)}: {', '.join(names)}"
    if NVIDIA.exists():
        raise InputError(
            f"This machine has an NVIDIA GPU, but torch {torch.__version__} cannot use the GPU: torch is a CPU build, "
            "or the driver is too old. Reinstall the environment with the extra `gpu`: make install EXTRA=gpu."
        )
    return f"no GPU; computations use {os.cpu_count()} CPU cores"


def disk(folders: Iterable[Path]) -> str:
    """Check that the folders have enough free space and are writable; return the free space."""
    texts = []
    for folder in folders:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(existing).free
        if free < LEAST_DISK:
            raise InputError(
                f"{folder} has {free / 1e9:.1f} GB free and a study may take {LEAST_DISK / 1e9:.0f} GB. Free some "
                "space, or choose other folders with --cache and --runs."
            )
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise InputError(
                f"{existing} cannot be written ({error.strerror}). Choose other folders with --cache and --runs."
            ) from error
        texts.append(f"{folder}: {free / 1e9:.0f} GB free")
    return ", ".join(texts)


def storage(url: str) -> str:
    """Check that a file can be written to a storage URL, read from there and removed."""
    with tempfile.TemporaryDirectory() as folder:
        remote = RemoteStore(Path(folder), absolute(url))
        file = Path(folder, f"doctor-{secrets.token_hex(8)}")
        file.write_text(file.name)
        back = file.with_suffix(".back")
        remote.save(file)
        if not remote.fetch(file, back) or back.read_text() != file.name:
            raise InputError(
                f"The storage {url} did not return the file that was just written there. Choose a storage from which "
                "new files can be read immediately, or a folder that all machines share."
            )
        remote.remove(file)
    return f"{url}: can be written, read and cleared"


def limits() -> str:
    """Check the limits on open files and shared memory; return both limits."""
    import resource

    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < LEAST_FILES:
        raise InputError(
            f"A process may open {files} files only, but Ray needs at least {LEAST_FILES}. Run ulimit -n "
            f"{min(65536, most)} in the shell that starts the study."
        )
    shared = shutil.disk_usage(SHARED).total if SHARED.exists() else 0
    if SHARED.exists() and shared < LEAST_SHARED:
        raise InputError(
            f"{SHARED} has {shared / 1e6:.0f} MB, but Ray's object store needs at least {LEAST_SHARED / 1e6:.0f} MB. "
            "With less, the object store is kept on disk and is slow. In a container: docker run --shm-size=4g."
        )
    return f"{files} open files, {shared / 1e9:.0f} GB of shared memory"
