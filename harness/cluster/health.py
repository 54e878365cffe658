"""Whether a Ray cluster can do a study's work: it answers, has a dashboard, runs a task, and has room."""

from __future__ import annotations

import os

import ray
from ray.exceptions import GetTimeoutError, RayError

from harness.cluster.session import seats, session, slots
from harness.cluster.sharing import Sharing
from harness.errors import InputError

PATIENCE = 60
"""Seconds that a cluster has for an empty task."""


def ray_works(address: str | None, workers: int) -> str:
    """Connect, or start a session here, run an empty task, and count the seats of a study.

    Raises:
        InputError: no cluster answers, it cannot run a task, or trainings of so many workers would wait for each other
            for ever.
    """
    with session(address):
        count, resources = slots()
        try:
            ray.get(_nothing.options(**resources).remote(), timeout=PATIENCE)
        except GetTimeoutError as error:
            raise InputError(
                f"The cluster has not run an empty task within {PATIENCE} s: its {count} slots are taken by "
                "others, or its machines are still starting. See what runs with `ray status`, end it, or wait."
            ) from error
        except RayError as error:
            raise InputError(
                f"A task on the cluster failed ({str(error).strip().splitlines()[-1]}). Its machines need this "
                "software and Python in the same versions."
            ) from error
        at_once, _ = seats(Sharing(workers=workers))
        context = ray.get_runtime_context()
        place = address or os.environ.get("RAY_ADDRESS") or "a session of its own here"
        mode = os.environ.get("RAY_AUTH_MODE", "none")
        return (
            f"Ray {ray.__version__}, {place} ({context.gcs_address}), {len(ray.nodes())} machines, "
            f"authentication {mode}; {at_once} experiments at once"
        )


@ray.remote
def _nothing() -> None:
    """Take a slot for a moment."""
