"""Ports of Ray's nodes that are free on this machine, where other clusters run at the same time."""

import socket
from contextlib import ExitStack

HEAD = ("port", "dashboard-port", "ray-client-server-port", "metrics-export-port")
AGENT = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port")


def free_ports(*names: str) -> dict[str, int]:
    """Return a free port for each option of `ray start`."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}


def options_of(ports: dict[str, int]) -> list[str]:
    """Return the options of `ray start` that choose the ports."""
    return [f"--{name}={port}" for name, port in ports.items()]
