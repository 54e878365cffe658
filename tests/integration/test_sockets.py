"""A private cluster serves this machine alone: which addresses its processes listen on."""

import os
from ipaddress import ip_address

import psutil
import pytest
import torch
from torch import distributed

from harness.cluster.ray_compute import RayCompute
from tests.support.waiting import wait_until

pytestmark = pytest.mark.ray


def addresses(root: int) -> dict[int, list[tuple[str, str, int]]]:
    """Title, address and port of every listening socket of a process and its descendants, by process."""
    top = psutil.Process(root)
    found = {}
    for process in (top, *top.children(recursive=True)):
        try:
            title = " ".join(process.cmdline())
            sockets = process.net_connections("inet")
        except psutil.Error:  # it has ended, or belongs to another user
            continue
        servers = [each for each in sockets if each.status == psutil.CONN_LISTEN]
        found[process.pid] = [(title, each.laddr.ip, each.laddr.port) for each in servers]
    return found


def is_loopback(address: str) -> bool:
    place = ip_address(address)
    return (getattr(place, "ipv4_mapped", None) or place).is_loopback


def look(world, driver):
    """Return the sockets of the whole session, and those of this training, seen by a worker that trains with others."""
    distributed.all_reduce(torch.ones(1))
    return addresses(driver), os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])


@pytest.mark.slow
def test_only_the_meeting_point_of_training_workers_is_seen_from_outside(ray_cluster, tmp_path):
    """docs/clusters.md names it: torch's store opens its port on every interface; it exists during training only."""
    found, master, port = RayCompute(tmp_path, workers=2).train(look, os.getpid())
    assert is_loopback(master)
    sockets = [each for of_process in found.values() for each in of_process]
    titles = " ".join(title for title, _, _ in sockets)
    assert all(name in titles for name in ("gcs_server", "raylet", "DashboardAgent", "Runtime"))
    outside = [each for each in sockets if not is_loopback(each[1])]
    assert {each[2] for each in outside} <= {port}, outside

    def after() -> bool:
        sockets = [each for of_process in addresses(os.getpid()).values() for each in of_process]
        return all(is_loopback(address) for _, address, _ in sockets)

    wait_until(after)
