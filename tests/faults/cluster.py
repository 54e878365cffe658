"""A Ray cluster of three nodes, which die and join on request.   python -m tests.faults.cluster

The cluster has a separate process, since a process knows one Ray cluster at a time. The head does no work. The process
prints the address and then reads requests, one per line. `lose` kills a node that runs an experiment, `lose all` kills
both nodes that work, and `join` starts another. The end of its input ends the cluster.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.runtime.environment import prepare_environment
from tests.faults.processes import find
from tests.support.commands import as_a_user


class ThreeNodes:
    """The cluster, seen from the test."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process
        self.address = process.stdout.readline().strip()
        assert self.address, "the cluster did not start"

    def lose_one(self) -> None:
        """Kill a node as soon as it runs an experiment."""
        self._tell("lose")

    def lose_all(self) -> None:
        """Kill both nodes that work."""
        self._tell("lose all")

    def join(self) -> None:
        """Start another node."""
        self._tell("join")

    def _tell(self, what: str) -> None:
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


@contextmanager
def three_nodes() -> Iterator[ThreeNodes]:
    """Start the cluster; end it in the end."""
    command = [sys.executable, "-m", "tests.faults.cluster"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, **as_a_user()) as process:
        yield ThreeNodes(process)
        process.stdin.close()


def start(head_cores: int) -> tuple[Any, Any, Any]:
    """Start a head and two nodes of one core each; return the cluster and these two."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": head_cores, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    victim = cluster.add_node(num_cpus=1)
    return cluster, victim, cluster.add_node(num_cpus=1)


def main() -> None:
    cluster, victim, other = start(head_cores=0)
    try:
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line == "join\n":
                cluster.add_node(num_cpus=1)
            elif line == "lose all\n":
                for node in (victim, other):
                    cluster.remove_node(node, allow_graceful=False)
            else:
                (raylet,) = victim.all_processes["raylet"]
                find(raylet.process.pid, "ray::run_and_log")
                cluster.remove_node(victim, allow_graceful=False)
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    prepare_environment("this one")
    main()
