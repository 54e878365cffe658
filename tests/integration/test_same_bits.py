"""Memory scores and methods have the same bits on any number of actors. One real cluster."""

import pytest

from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.memory.scores import fill_scores
from harness.runtime.compute import InProcess
from tests.support.memory_pass import score_bytes, score_requests, undisturbed_scores

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", params=[1, 2, 3])
def pool(ray_cluster, request):
    """Pools of different sizes; each is used by several tests, since every actor imports torch."""
    with start_pool(request.param) as pool:
        yield pool


def test_memory_scores_are_the_same_bits_on_any_number_of_actors(pool, tmp_path):
    requests = score_requests(tmp_path)
    fill_scores(requests, compute=RayCompute(tmp_path, pool=pool))
    assert score_bytes(requests) == undisturbed_scores()


@pytest.mark.parametrize(
    "detector", [PatchCore(), SoftPatch(), InReaCh(min_channel_length=1, std_factor=None)]
)
def test_methods_give_the_same_bits_on_any_number_of_actors(small, pool, detector, tmp_path):
    images = small.train_images
    expected = detector.fit(images, seed=3, compute=InProcess()).score(images)
    found = detector.fit(images, seed=3, compute=RayCompute(tmp_path, pool=pool)).score(images)
    assert found.tobytes() == expected.tobytes()
