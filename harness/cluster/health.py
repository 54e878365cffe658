"""Whether a Ray cluster can do a study's work: it runs tasks, has room and a dashboard, its machines share folders."""

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
"""Seconds that a cluster has for an empty task."""
HEAD = "node:__internal_head__"
"""What Ray calls a resource that its head alone has."""


def check_tasks(address: str | None) -> str:
    """Run an empty task on the cluster that this process is connected to.

    Args:
        address: Where it is, as it was given.

    Raises:
        InputError: it cannot run a task.
    """
    count, resources = worker_slots()
    try:
        ray.get(_nothing.options(**resources).remote(), timeout=PATIENCE)
    except GetTimeoutError as error:
        raise InputError(
            f"The cluster has not run an empty task within {PATIENCE} s: its {count} slots are taken by "
            "others, or its machines are still starting. See what runs with `ray status`, end it, or wait."
        ) from error
    except RayError as error:
        raise InputError(
            f"A task on the cluster failed ({_last_line(error)}). Its machines need this "
            "software and Python in the same versions."
        ) from error
    place = address or os.environ.get("RAY_ADDRESS") or "a session of its own here"
    mode = os.environ.get("RAY_AUTH_MODE", "none")
    return (
        f"Ray {ray.__version__}, {place} ({ray.get_runtime_context().gcs_address}), {len(_machines())} machines, "
        f"authentication {mode}"
    )


def dashboard_answers() -> str:
    """Ask the dashboard, from the head of the cluster, where Ray Train asks it.

    Raises:
        InputError: it does not answer.
    """
    asking = _ask_dashboard.options(resources={HEAD: 0.001})
    try:
        ray.get(asking.remote(ray.get_runtime_context().gcs_address), timeout=PATIENCE)
    except RayError as error:
        raise InputError(
            f"The cluster has no dashboard that answers ({_last_line(error)}). Ray Train asks it which trainings have "
            "ended; without it their places stay taken, and the next trainings wait for ever. On the head: "
            "pip install 'ray[default]', then start it with ray start --head --include-dashboard=true."
        ) from error
    return "answers on the head"


def check_capacity(sharing: Resources) -> str:
    """Count the experiments that run at once.

    Raises:
        InputError: see `harness.cluster.session.max_concurrent_trials`: trials would wait for each other for ever.
    """
    at_once, resources = max_concurrent_trials(sharing)
    taken = ", ".join(f"{share:.3g} {name}" for name, share in resources.items() if share)
    workers = f" beside {sharing.workers} workers" if sharing.workers else ""
    return f"{at_once} experiments at once, each takes {taken}{workers}"


def check_shared_folders(folders: Iterable[Path]) -> str:
    """Have every machine look for a file that was just put into each folder, or where the folder will be made.

    Raises:
        InputError: a machine does not see it, or does not answer.
    """
    machines = _machines()
    with ExitStack() as lasting:
        marked = {}
        for folder in folders:
            there = next(p for p in (folder, *folder.absolute().parents) if p.exists()).absolute()
            mark = lasting.enter_context(tempfile.NamedTemporaryFile(dir=there, prefix="seen-"))
            marked[there] = mark.name
        seen = _look_everywhere([machine["NodeID"] for machine in machines], [*marked.values()])
    for position, folder in enumerate(marked):
        blind = [
            m["NodeName"] for m, sees in zip(machines, seen, strict=True) if not sees[position]
        ]
        if blind:
            raise InputError(
                f"{folder} is not the same folder on every machine: what is written to it here is not seen on "
                f"{', '.join(blind)}. Mount one folder (NFS) under this path on every machine, or name one that is "
                "with --cache and --runs."
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
            f"A machine of the cluster did not say which folders it sees ({_last_line(error)}). See with `ray status` "
            "whether all are there, and try again."
        ) from error


def _machines() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _last_line(error: RayError) -> str:
    return str(error).strip().splitlines()[-1]


@ray.remote
def _nothing() -> None:
    """Take a slot for a moment."""


@ray.remote(num_cpus=0)
def _ask_dashboard(address: str) -> None:
    """Ask for anything, as Ray Train does."""
    from ray.util.state import list_nodes

    list_nodes(address=address, limit=1, timeout=PATIENCE // 2)


@ray.remote(num_cpus=0)
def _paths_exist(files: Sequence[str]) -> list[bool]:
    """Tell which of the files are on this machine."""
    return [Path(file).exists() for file in files]
