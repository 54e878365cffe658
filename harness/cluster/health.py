"""Checks that a Ray cluster can run a study: tasks, capacity, a dashboard, and folders that all machines share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.resources import Resources
from harness.cluster.session import max_concurrent_trials, worker_slots
from harness.errors import InputError

PATIENCE = 60
"""Time limit in seconds for each answer of the cluster, such as the result of an empty task."""
HEAD = "node:__internal_head__"
"""Ray's name of a resource that only the head of a cluster has."""


def check_tasks(address: str | None) -> str:
    """Run an empty task on the connected cluster and return a description of the cluster.

    Args:
        address: Address of the cluster, as the user gave it.

    Raises:
        InputError: the cluster cannot run a task.
    """
    count, resources = worker_slots()
    try:
        ray.get(_nothing.options(**resources).remote(), timeout=PATIENCE)
    except GetTimeoutError as error:
        raise InputError(
            f"The cluster has not run an empty task within {PATIENCE} s: other work takes its {count} slots, or its "
            "machines are still starting. List the work with `ray status`, and end it or wait."
        ) from error
    except RayError as error:
        raise InputError(
            f"A task on the cluster failed ({_last_line(error)}). Install the same versions of this software and of "
            "Python on all machines."
        ) from error
    place = address or os.environ.get("RAY_ADDRESS") or "a private session on this machine"
    mode = os.environ.get("RAY_AUTH_MODE", "none")
    return (
        f"Ray {ray.__version__}, {place} ({ray.get_runtime_context().gcs_address}), {len(_machines())} machines, "
        f"authentication {mode}"
    )


def dashboard_answers() -> str:
    """Query the dashboard from the head of the cluster, as Ray Train does.

    Raises:
        InputError: the dashboard does not answer.
    """
    asking = _ask_dashboard.options(resources={HEAD: 0.001})
    try:
        ray.get(asking.remote(ray.get_runtime_context().gcs_address), timeout=PATIENCE)
    except RayError as error:
        raise InputError(
            f"The cluster has no dashboard that answers ({_last_line(error)}). Ray Train asks the dashboard "
            "which trainings have ended. Without a dashboard, ended trainings keep their resources, and the next "
            "trainings wait for ever. On the head run pip install 'ray[default]', then restart Ray with ray start "
            "--head --include-dashboard=true."
        ) from error
    return "answers on the head"


def check_capacity(sharing: Resources) -> str:
    """Return the number of experiments that run at once, and the resources of each, as text.

    Raises:
        InputError: see `harness.cluster.session.max_concurrent_trials`; trials would wait for each other for ever.
    """
    at_once, resources = max_concurrent_trials(sharing)
    taken = ", ".join(f"{share:.3g} {name}" for name, share in resources.items() if share)
    workers = f", plus {sharing.workers} workers" if sharing.workers else ""
    return f"{at_once} experiments at once, each takes {taken}{workers}"


def check_shared_folders(folders: Iterable[Path]) -> str:
    """Check that every machine sees a file that was just written to each folder, and return a summary.

    If a folder does not exist yet, the file is written to the nearest parent folder that exists.

    Raises:
        InputError: a machine does not see the file, or does not answer.
    """
    machines = _machines()
    with ExitStack() as exit_stack:
        marked = {}
        for folder in folders:
            there = next(p for p in (folder, *folder.absolute().parents) if p.exists()).absolute()
            mark = exit_stack.enter_context(tempfile.NamedTemporaryFile(dir=there, prefix="seen-"))
            marked[there] = mark.name
        seen = _look_everywhere([machine["NodeID"] for machine in machines], [*marked.values()])
    for position, folder in enumerate(marked):
        blind = [
            m["NodeName"] for m, sees in zip(machines, seen, strict=True) if not sees[position]
        ]
        if blind:
            raise InputError(
                f"{folder} is not the same folder on every machine: files written to it here are not seen on "
                f"{', '.join(blind)}. Mount one folder (NFS) under this path on every machine, or choose a shared "
                "folder with --cache and --runs."
            )
    return f"{len(machines)} machines see {', '.join(map(str, marked))}"


def _look_everywhere(nodes: Sequence[str], files: Sequence[str]) -> list[list[bool]]:
    looks = [
        _paths_exist.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
        ).remote(files)
        for node in nodes
    ]
    try:
        return ray.get(looks, timeout=PATIENCE)
    except RayError as error:
        raise InputError(
            f"A machine of the cluster did not answer which folders it sees ({_last_line(error)}). Check with "
            "`ray status` that all machines are connected, and try again."
        ) from error


def _machines() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _last_line(error: RayError) -> str:
    return str(error).strip().splitlines()[-1]


@ray.remote
def _nothing() -> None:
    """Occupy a slot for a moment."""


@ray.remote(num_cpus=0)
def _ask_dashboard(address: str) -> None:
    """Send any query to the dashboard, as Ray Train does."""
    from ray.util.state import list_nodes

    list_nodes(address=address, limit=1, timeout=PATIENCE // 2)


@ray.remote(num_cpus=0)
def _paths_exist(files: Sequence[str]) -> list[bool]:
    """Return for each file whether it exists on this machine."""
    return [Path(file).exists() for file in files]
