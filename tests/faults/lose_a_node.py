"""The memory stage on a cluster of three nodes, one of which dies.   python -m tests.faults.lose_a_node FOLDER

Run as a process of its own by `tests.faults.test_actors`: a process knows one Ray cluster at a time.
"""

import functools
import sys
from pathlib import Path

from harness.memory.scores import fill_scores
from harness.runtime.environment import prepare_environment
from tests.faults.cluster import start
from tests.support.memory_pass import Disturbed, score_requests


def main(folder: Path) -> None:
    import ray

    from harness.cluster.ray_compute import RayCompute

    cluster, victim, _ = start(head_cores=1)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        assert len([node for node in ray.nodes() if node["Alive"]]) == 3
        lose_it = functools.partial(cluster.remove_node, victim, allow_graceful=False)
        compute = Disturbed(RayCompute(folder), [lose_it])
        fill_scores(score_requests(folder), compute=compute)
        assert not compute.faults
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    prepare_environment()
    main(Path(sys.argv[1]))
