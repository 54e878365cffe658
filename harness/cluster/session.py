"""One Ray session per command: connect to a cluster, or start a private one on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import ray
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled
from ray.exceptions import AuthenticationError

from harness.cluster.resources import Resources
from harness.errors import InputError


@contextmanager
def session(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Connect to the cluster at `address` (or RAY_ADDRESS), or start one here; leave or end it on exit.

    A cluster started here is guarded by a token (see `harness.runtime.environment.prepare_environment`).

    Args:
        address: Where the cluster is.
        cores: For a cluster started here: as if the machine had so many cores.

    Raises:
        InputError: there is no cluster at the address, it wants another token, or none can be started here.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        # With the dashboard: without it, Ray Train leaves placement groups behind when a trial ends early.
        here = {"num_cpus": cores, "include_dashboard": True, "dashboard_host": "127.0.0.1"}
        try:
            ray.init("local", **here, **quiet)
        except Exception as error:  # Ray's own is of no class of its own
            raise InputError(
                f"Ray did not start on this machine ({str(error).splitlines()[0][:300]}). Where the machine is very "
                "busy, try again later; where /tmp is no place for Ray's files, name a short path in RAY_TMPDIR; or "
                "connect to a cluster with --address."
            ) from error
    else:
        try:
            _check_reachable(address)
            ray.init(address, **quiet)
        except AuthenticationError as error:
            mode = os.environ.get("RAY_AUTH_MODE", "not set")
            raise InputError(
                f"The Ray cluster at {address} does not let this process in: it asks for a token, and there is none "
                f"or another (RAY_AUTH_MODE is {mode}). Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the cluster's "
                "token, or RAY_AUTH_TOKEN_PATH to a file with it; all machines of the cluster have the same."
            ) from error
        except OSError as error:
            raise InputError(
                f"No Ray cluster answers at {address} ({error}). Start one with `ray start --head`, or "
                "leave the address out to work on this machine alone."
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


def connected() -> bool:
    """Whether there is a session."""
    return ray.is_initialized()


def _check_reachable(address: str) -> None:
    """Ask at `host:port`, or `ray://host:port`, to be let in: Ray itself would try for minutes.

    Raises:
        OSError: nobody listens there.
        AuthenticationError: who listens wants a token, and not the one that this process has.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdigit()):
        return
    socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    token = get_auth_headers_if_auth_enabled({})
    question = "RayletDriver/ClusterInfo" if "://" in address else "NodeInfoGcsService/GetClusterId"
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        ask = channel.unary_unary(f"/ray.rpc.{question}")
        try:
            ask(b"", metadata=[*token.items()], timeout=PATIENCE)
        except grpc.RpcError as error:  # of other errors, such as one of TLS, Ray itself knows more
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise AuthenticationError(error.details()) from error


PATIENCE = 10
"""Seconds within which a cluster's port must open."""
WORKER_FRACTION = 0.9
"""Of a core, and of a GPU, that Ray books for what works on it. The rest is for those that wait for the work: with
whole cores booked, the last experiment would find a sliver too little and wait for another to end."""
WAITING_FRACTION = 0.05
"""Of a core, and of a GPU, that is booked for an experiment whose training has workers of its own."""


def worker_slots() -> tuple[int, dict[str, float]]:
    """How many processes can work at once, and what each takes: a GPU where there are any, else a core."""
    resources = ray.cluster_resources()
    if gpus := int(resources.get("GPU", 0)):
        return gpus, {"num_cpus": WORKER_FRACTION, "num_gpus": WORKER_FRACTION}
    return max(1, int(resources.get("CPU", 1))), {"num_cpus": WORKER_FRACTION, "num_gpus": 0}


def available_slots() -> int:
    """How many more processes could work now."""
    free, (_, wanted) = ray.available_resources(), worker_slots()
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    return min(int(free.get(names[name], 0) / share) for name, share in wanted.items() if share)


def max_concurrent_trials(sharing: Resources) -> tuple[int, dict[str, float]]:
    """How many experiments can run at once, and what each takes beside the workers of its training.

    Raises:
        InputError: the cluster has no room for the workers, or no GPU that could be shared.
    """
    count, resources = worker_slots()
    if sharing.workers > count:
        raise InputError(
            f"{sharing.workers} workers per training were asked for, but this cluster has room for {count}: one per "
            "GPU where there are any, else one per core. Ask for fewer, or connect to a larger cluster with --address."
        )
    if sharing.workers:
        count //= sharing.workers
        resources = {name: WAITING_FRACTION if share else 0 for name, share in resources.items()}
    elif sharing.gpus_per_trial < 1:
        if not resources["num_gpus"]:
            raise InputError(
                f"--gpus-per-trial {sharing.gpus_per_trial:g} was asked for, but this cluster has no GPU to share. "
                "Leave it out, or connect to a cluster that has GPUs with --address."
            )
        cores = int(ray.cluster_resources().get("CPU", 1))
        count = min(count * sharing.per_gpu, max(1, cores))
        resources = {**resources, "num_gpus": WORKER_FRACTION / sharing.per_gpu}
    return min(count, sharing.max_concurrent or count), resources
