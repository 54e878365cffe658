"""The memory stage on a cluster of three nodes, one of which dies in mid-pass.   python -m tests.lose_a_node FOLDER

Run as a process of its own by `tests.test_cluster`: a process knows one Ray cluster at a time.
"""

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.environment import prepare_environment
from harness.memory import MemoryEnsemble
from harness.memory_stage import ScoreRequest, fill_scores
from tests.test_distance_tables import category
from tests.test_distances import unit

IMAGES = 150
MEMORIES = [
    MemoryEnsemble(ratio=ratio, size=size, precision=precision)
    for ratio, size, precision in ((0.1, None, "exact"), (0.5, 10, "exact"), (0.1, None, "fast"))
]


def score_requests(folder: Path) -> list[ScoreRequest]:
    """What is wanted of random features in a folder of their own."""
    features = category(folder / "features", unit(np.random.default_rng(8), IMAGES, 20, 24))
    return [ScoreRequest(features, np.arange(0, IMAGES, 2), memory) for memory in MEMORIES]


@dataclass
class Disturbed:
    """A compute to which something happens after the second result of a map, as long as there are faults left."""

    compute: Any
    faults: list[Callable[[], None]]

    def map(self, function, items, *, label) -> Iterator[Any]:
        for count, result in enumerate(self.compute.map(function, items, label=label)):
            if count == 1 and self.faults:
                self.faults.pop()()
            yield result


def main(folder: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from harness.cluster.on_ray import OnRay

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    victim = cluster.add_node(num_cpus=1)
    cluster.add_node(num_cpus=1)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        assert len([node for node in ray.nodes() if node["Alive"]]) == 3
        lose_it = functools.partial(cluster.remove_node, victim, allow_graceful=False)
        compute = Disturbed(OnRay(folder), [lose_it])
        fill_scores(score_requests(folder), compute=compute)
        assert not compute.faults
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    prepare_environment()
    main(Path(sys.argv[1]))
