"""An actor or a node that is lost in the middle of a pass costs nothing but time: the bits stay the same."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness.cluster.ray_compute import RayCompute, start_pool
from harness.features import CategoryFeatures
from harness.memory.scores import ScoreRequest, fill_scores
from tests.support.commands import as_a_user
from tests.support.memory_pass import (
    IMAGES,
    MEMORIES,
    Disturbed,
    score_bytes,
    score_requests,
    undisturbed_scores,
)

pytestmark = pytest.mark.ray


@pytest.fixture
def on_ray(ray_cluster, tmp_path):
    return RayCompute(tmp_path)


def test_an_actor_that_dies_in_mid_pass_costs_nothing_but_time(on_ray, tmp_path):
    requests = score_requests(tmp_path)
    with start_pool(2) as pool:
        (victim, *_) = set(pool.results(lambda _: os.getpid(), range(8)))
        compute = Disturbed(replace(on_ray, pool=pool), [lambda: os.kill(victim, signal.SIGKILL)])
        fill_scores(requests, compute=compute)
    assert not compute.faults
    assert score_bytes(requests) == undisturbed_scores()


def test_an_actor_that_dies_costs_nothing_but_time(on_ray, tmp_path):
    def die_once(item):
        marker = tmp_path / "died"
        if item == 3 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item * item

    with start_pool(3) as pool:
        mapped = replace(on_ray, pool=pool).map(die_once, range(8), label="dying")
        assert list(mapped) == [i * i for i in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.faults
def test_a_node_that_dies_in_mid_pass_costs_nothing_but_time(tmp_path):
    command = [sys.executable, "-m", "tests.faults.lose_a_node", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, **as_a_user())
    assert done.returncode == 0, done.stderr
    (features,) = tmp_path.glob("features")
    requests = [
        ScoreRequest(CategoryFeatures(features), np.arange(0, IMAGES, 2), memory)
        for memory in MEMORIES
    ]
    assert score_bytes(requests) == undisturbed_scores()
