"""One Ray session per command: a connection to a given cluster, or a private cluster on this machine."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import ray
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray.exceptions import AuthenticationError

from harness.cluster.resources import Resources
from harness.errors import InputError
from harness.runtime.scratch import remove_leftovers, scratch_folder
from harness.runtime.stopping import signals_kept


@contextmanager
def session(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Connect to the cluster at `address` (or RAY_ADDRESS), or start a private one; disconnect or stop it on exit.

    A token guards a private cluster (see `harness.runtime.environment.prepare_environment`).

    Args:
        address: Address of the cluster.
        cores: Number of cores of a private cluster; None for all cores of this machine.

    Raises:
        InputError: no cluster answers at the address, the cluster requires another token, or no private cluster can be
            started.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    with ExitStack() as exit_stack:
        if address is None:
            _start(cores, exit_stack)
        else:
            _connect(address)
            exit_stack.callback(ray.shutdown)
        yield


def _start(cores: int | None, exit_stack: ExitStack) -> None:
    """Start a private cluster, whose files lie in a folder that only this user can enter and that ends with the stack.

    Raises:
        InputError: Ray did not start.
    """
    try:
        folder = exit_stack.enter_context(scratch_folder(_parent(), FOLDER))
        exit_stack.callback(_stop, str(folder))
        # Without the dashboard, Ray Train leaves placement groups behind when a trial ends early.
        here = {"num_cpus": cores, "include_dashboard": True, "dashboard_host": "127.0.0.1"}
        with signals_kept():
            ray.init("local", _temp_dir=str(folder), **here, **QUIET)
    except Exception as error:  # Ray raises no specific class here
        raise InputError(
            f"Ray did not start on this machine ({str(error).splitlines()[0][:300]}). If the machine is very "
            "busy, try again later. If /tmp cannot hold Ray's files, set RAY_TMPDIR to a short path. Otherwise "
            "connect to a cluster with --address."
        ) from error


def remove_dead_sessions() -> None:
    """Remove the folders of private clusters whose command was killed; their processes end by themselves by then."""
    remove_leftovers(_parent(), FOLDER)


def _parent() -> Path:
    return Path(os.environ.get("RAY_TMPDIR", TEMPORARY))


def _stop(folder: str) -> None:
    """Stop the private cluster of this process, and wait for its processes, which write into the folder to the last.

    Ray does not wait for its agents, which can outlive the command by a minute. It waits without limit for an answer of
    its server, which may never come. The processes of the cluster are therefore killed if they do not stop in time.
    """
    started: list[psutil.Process] = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # a process that has ended meanwhile
            if folder in " ".join(child.cmdline()):
                started += [child, *child.children(recursive=True)]
    overdue = threading.Timer(SHUTDOWN, _kill, [started])
    overdue.start()
    try:
        ray.shutdown()
    finally:
        overdue.cancel()
    _, alive = psutil.wait_procs(started, timeout=END)
    _kill(alive)
    psutil.wait_procs(alive, timeout=END)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):  # a process that has ended meanwhile
            process.kill()


def _connect(address: str) -> None:
    """Connect to a given cluster.

    Raises:
        InputError: no cluster answers at the address, or the cluster requires another token.
    """
    try:
        _check_reachable(address)
        with signals_kept():
            ray.init(address, **QUIET)
    except AuthenticationError as error:
        mode = os.environ.get("RAY_AUTH_MODE", "not set")
        raise InputError(
            f"The Ray cluster at {address} does not let this process in: the cluster requires a token, and this "
            f"process has none or another one (RAY_AUTH_MODE is {mode}). Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN to the cluster's token, or RAY_AUTH_TOKEN_PATH to a file with the token. All "
            "machines of the cluster use the same token."
        ) from error
    except Exception as error:  # Ray and gRPC raise errors of many classes for an odd address
        said = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        raise InputError(
            f"No Ray cluster answers at {address} ({said}). An address is host:port or ray://host:port. Start a "
            "cluster with `ray start --head`, or leave out --address (and RAY_ADDRESS) to work on this machine "
            "alone."
        ) from error


def connected() -> bool:
    """Return whether a Ray session is open."""
    return ray.is_initialized()


def _check_reachable(address: str) -> None:
    """Check that `host:port` or `ray://host:port` accepts this process, because Ray itself would retry for minutes.

    Raises:
        ValueError: the address has another form. Ray would import a module with the name of an unknown scheme.
        OSError: no process listens at the address.
        AuthenticationError: the cluster requires a token other than the token of this process.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()) or "://" in host:
        raise ValueError("the address has another form")
    socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    token = get_auth_headers_if_auth_enabled({})
    question = "RayletDriver/ClusterInfo" if "://" in address else "NodeInfoGcsService/GetClusterId"
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        ask = channel.unary_unary(f"/ray.rpc.{question}")
        try:
            ask(b"", metadata=[*token.items()], timeout=PATIENCE)
        except grpc.RpcError as error:  # Ray reports other errors, e.g. of TLS, better
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise AuthenticationError(error.details()) from error


QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
TEMPORARY = "/tmp"
"""Folder for the files of a private cluster. Sockets in it need short paths, and TMPDIR is often long."""
FOLDER = "meds-ray-"
"""Start of the name of such a folder. Only this user can enter it, and it is removed with the cluster."""
SHUTDOWN = 30
"""Seconds within which Ray must stop a private cluster."""
END = 5
"""Seconds within which the processes of a private cluster may end by themselves."""
PATIENCE = 10
"""Seconds within which a cluster must accept a connection and answer."""
WORKER_FRACTION = 0.9
"""Fraction of a core or GPU reserved per worker. The remainder is reserved for processes that only wait. If workers
reserved whole cores, too little would remain for the last experiment, which would wait for another to end."""
WAITING_FRACTION = 0.05
"""Fraction of a core or GPU reserved for an experiment whose training runs in separate worker processes."""


def worker_slots() -> tuple[int, dict[str, float]]:
    """Return the number of worker slots and the resources of each: a GPU if the cluster has GPUs, else a core."""
    resources = ray.cluster_resources()
    if gpus := int(resources.get("GPU", 0)):
        return gpus, {"num_cpus": WORKER_FRACTION, "num_gpus": WORKER_FRACTION}
    return max(1, int(resources.get("CPU", 1))), {"num_cpus": WORKER_FRACTION, "num_gpus": 0}


def available_slots() -> int:
    """Return the number of worker slots that are free now."""
    return _fitting(ray.available_resources(), worker_slots()[1])


def _fitting(resources: Mapping[str, float], shares: Mapping[str, float]) -> int:
    """Return how many times shares of cores and GPUs fit into the resources of a cluster or a machine."""
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return min(
        int(resources.get(names[name], 0) / share) for name, share in shares.items() if share
    )


class Room:
    """Room for one experiment: the processes that it needs, with the resources that the cluster had for them."""

    def __init__(self, sharing: Resources) -> None:
        """Measure an experiment on the connected cluster (see `max_concurrent_trials` for errors)."""
        self._processes = max(1, sharing.workers)
        self._shares = worker_slots()[1] if sharing.workers else max_concurrent_trials(sharing)[1]

    def __str__(self) -> str:
        names = {"num_cpus": "cores", "num_gpus": "GPUs"}
        shares = (f"{share:g} {names[name]}" for name, share in self._shares.items() if share)
        return f"{self._processes} x ({', '.join(shares)})"

    def is_there(self) -> bool:
        """Return whether the machines that are alive have the resources of one experiment, in use or not."""
        alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
        return sum(_fitting(resources, self._shares) for resources in alive) >= self._processes


def max_concurrent_trials(sharing: Resources) -> tuple[int, dict[str, float]]:
    """Return the maximum number of concurrent experiments and the resources of each, without its training workers.

    Raises:
        InputError: the cluster has no room for the workers, or no GPU to share.
    """
    count, resources = worker_slots()
    if sharing.workers > count:
        raise InputError(
            f"{sharing.workers} workers per training were asked for, but this cluster has room for {count}: one per "
            "GPU if there are GPUs, else one per core. Reduce --workers, or connect to a larger cluster with --address."
        )
    if sharing.workers:
        count //= sharing.workers
        resources = {name: WAITING_FRACTION if share else 0 for name, share in resources.items()}
    elif sharing.gpus_per_trial < 1:
        if not resources["num_gpus"]:
            raise InputError(
                f"--gpus-per-trial {sharing.gpus_per_trial:g} was asked for, but this cluster has no GPU to share. "
                "Leave out --gpus-per-trial, or use --address to connect to a cluster that has GPUs."
            )
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = min(count * sharing.per_gpu, max(1, cores))
        resources = {**resources, "num_gpus": WORKER_FRACTION / sharing.per_gpu}
    return min(count, sharing.max_concurrent or count), resources
