"""Process environment of an experiment: the variables that Ray and MLflow read."""

from __future__ import annotations

import logging
import os
import secrets
import sys

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
