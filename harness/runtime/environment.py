"""Process environment of an experiment: variables that Ray and MLflow read, package versions, source revision."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from harness.config.discovery import plugins

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would change the working directory for each trial, and the user's relative paths would be wrong there.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Results go to MLflow; Ray's result files and its handling of Ctrl-C would interfere.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "60",
    # Ray's newer reporter prints a table even with verbose=0.
    "RAY_AIR_NEW_OUTPUT": "0",
    # A task without GPU resources must not see a GPU.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # While a tracking server is down, training waits for it: at most six minutes with these values.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
LOOPBACK = {
    # Ray's switch for clusters of several machines, which on Windows and macOS is off by default. On every system, 0
    # gives the node the address 127.0.0.1, and all its servers listen there.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Training workers of one machine find each other there, too.
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}
"""Variables with which the processes of a private cluster listen on the loopback interface only."""
PACKAGES = ("numpy", "scipy", "torch", "timm", "ray", "mlflow")
"""Packages whose versions are recorded with each run."""
DISTRIBUTION = "meds-bench"
"""Name of the installed package."""
ROOT = Path(__file__).parents[2]
"""Root folder of the source tree."""
SOURCES = ("harness", "baselines", "sweeps")
"""Folders in which untracked files count as changes of the source, because such files can change numbers."""


def prepare_environment(address: str | None = None) -> None:
    """Set the environment variables of Ray and MLflow, except variables that the user has set.

    Call this function once at the start of a program, before Ray is imported, because Ray reads some variables then.
    A private cluster on this machine listens on the loopback interface, and a random token guards it. The token exists
    only in the environment of the cluster's processes, not on disk. A given cluster has its own addresses,
    authentication mode and token.

    Args:
        address: Address of a given Ray cluster; None for RAY_ADDRESS or a private cluster.

    Raises:
        RuntimeError: Ray is imported already, and would ignore some of the variables.
    """
    if "ray" in sys.modules:
        raise RuntimeError("prepare_environment must be called before ray is imported.")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    # MLflow prints a traceback of every database error in addition to raising the error.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if address is None and "RAY_ADDRESS" not in os.environ:
        for name, value in LOOPBACK.items():
            os.environ.setdefault(name, value)
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ["RAY_AUTH_MODE"] = "token"
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def describe_environment() -> dict[str, str]:
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
