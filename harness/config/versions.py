"""Versions that can change numbers: Python, packages and plug-ins, and the revision of the source tree."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from harness.config.discovery import plugins

PACKAGES = ("numpy", "scipy", "torch", "timm", "ray", "mlflow")
"""Packages whose versions are recorded with each run."""
DISTRIBUTION = "meds-bench"
"""Name of the installed package."""
ROOT = Path(__file__).parents[2]
"""Root folder of the source tree."""
SOURCES = ("harness", "baselines", "sweeps")
"""Folders in which untracked files count as changes of the source, because such files can change numbers."""


def describe_versions() -> dict[str, str]:
    """Return the versions of Python, of `PACKAGES` and of plug-ins, and the source revision, by name."""
    packages = dict.fromkeys((*PACKAGES, *(plugin.package for plugin in plugins())))
    found = {f"version.{name}": metadata.version(name) for name in packages}
    return {**found, "version.python": platform.python_version(), "git": git_revision()}


def git_revision() -> str:
    """Return the git revision of the source tree; outside a checkout, the version of the package, e.g. `v0.1.0`.

    If files differ from the revision, `-dirty.` and a digest of these files are appended.
    """
    try:
        if not _git("ls-files", "--", "harness"):
            return _version()  # an environment inside the repository of another project
        revision = _git("rev-parse", "HEAD").strip()
        # Only names, because the user's git settings change how git prints differences.
        changed = _git("diff", "HEAD", "--name-only", "--no-renames", "--relative", "-z")
        new = _git("ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return _version()
    names = sorted(filter(None, (changed + new).split("\0")))
    return f"{revision}-dirty.{_digest(names)}" if names else revision


def _version() -> str:
    """Return the version of the installed package, `unknown` without one."""
    try:
        return f"v{metadata.version(DISTRIBUTION)}"
    except metadata.PackageNotFoundError:
        return "unknown"


def _digest(names: Iterable[str]) -> str:
    """Return twelve digits of a digest over source files; deleted files count by their name."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(os.fsencode(name) + b"\0")
        if (file := ROOT / name).is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return os.fsdecode(subprocess.run(command, check=True, capture_output=True).stdout)
