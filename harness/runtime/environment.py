"""The process around an experiment: what Ray and MLflow read from it, and what a result was computed with."""

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

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray would give every trial a working directory of its own, in which relative paths of the user mean nothing.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # Results go to MLflow; Ray's result files, and its way of handling Ctrl-C, would stand in the way of that.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "60",
    # The plain reporter: the newer one prints a table of its own even when asked for nothing.
    "RAY_AIR_NEW_OUTPUT": "0",
    # A task that asks for no GPU must not find one.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # While a server is away, training waits for it: with these six minutes, and it goes on soon after.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "9",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
PACKAGES = ("numpy", "scipy", "torch", "timm", "ray", "mlflow")
ROOT = Path(__file__).parents[2]
"""Of the source tree."""
SOURCES = ("harness", "baselines", "sweeps")
"""Where a new file that git does not know yet decides numbers; data that lies about elsewhere is not read for it."""


def prepare_environment(address: str | None = None) -> None:
    """Set what Ray and MLflow read from the environment, leaving what the user has set.

    Called once at the start of a program, before Ray is imported, since Ray reads some of it then.
    For a cluster of our own on this machine, a token guards it that lives in the environment of its
    processes and nowhere on disk; a given cluster has its own mode and token.

    Raises:
        RuntimeError: Ray is imported already, and would ignore some of the settings.
    """
    if "ray" in sys.modules:
        raise RuntimeError("prepare_environment must be called before ray is imported.")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    # MLflow would print a traceback of every error of a database that it raises anyway.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    if address is None and "RAY_ADDRESS" not in os.environ and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def describe_environment() -> dict[str, str]:
    """Versions of Python and of the packages that decide numbers, and the source revision."""
    found = {f"version.{name}": metadata.version(name) for name in PACKAGES}
    return {**found, "version.python": platform.python_version(), "git": git_revision()}


def git_revision() -> str:
    """Revision of this source tree; with `-dirty.` and a digest where files differ; `unknown` outside a checkout."""
    try:
        revision = _git("rev-parse", "HEAD").strip()
        # Names alone: how git prints what differs depends on its user's settings.
        changed = _git("diff", "HEAD", "--name-only", "--no-renames", "--relative", "-z")
        new = _git("ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    names = sorted(filter(None, (changed + new).split("\0")))
    return f"{revision}-dirty.{_digest(names)}" if names else revision


def _digest(names: Iterable[str]) -> str:
    """Twelve digits of what files of the source tree hold; one may be gone."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(os.fsencode(name) + b"\0")
        if (file := ROOT / name).is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return os.fsdecode(subprocess.run(command, check=True, capture_output=True).stdout)
