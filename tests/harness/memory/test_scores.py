"""Memory scores of whole categories: every way to get them gives what the plain formula gives."""

import itertools

import numpy as np
import pytest

from harness.distances import image_distances
from harness.features import CategoryImages, ImageSet
from harness.memory import MemoryEnsemble, bootstrap_scores, expected_scores
from harness.memory import scores as memory_stage
from harness.memory.scores import ScoreRequest, fill_scores, memory_scores
from harness.runtime.compute import InProcess
from tests.harness.distances.test_distances import unit
from tests.harness.memory.test_distance_tables import category

IMAGES = 30
MEMORIES = [
    MemoryEnsemble(ratio=ratio, size=size, replacement=replacement, distance=distance)
    for ratio, size, replacement, distance in itertools.product(
        (0.1, 1), (None, 5), (True, False), ("cosine", "euclidean")
    )
]
BANKS = [np.arange(0, 20), np.array([2, 3, 5, 7, 11, 13, 29])]


@pytest.fixture
def features(tmp_path):
    return category(tmp_path / "features", unit(np.random.default_rng(4), IMAGES, 6, 8))


def plainly(features, bank_M, memory):
    """Scores as the definition has them, in one go."""
    whole = features.memory_NPC.astype(np.float32)
    distances_NPM = image_distances(whole, whole[bank_M], distance=memory.distance)
    draws, how = memory.draws(len(bank_M)), {"replacement": memory.replacement}
    if memory.size is None:
        return expected_scores(distances_NPM, draws, **how)
    return bootstrap_scores(distances_NPM, draws, memory.size, seed=memory.seed, **how)


def stored(request):
    rows = np.arange(IMAGES)
    queries = ImageSet((CategoryImages(request.features, rows),))
    bank = ImageSet((CategoryImages(request.features, request.bank_M),))
    return memory_scores(queries, bank, request.memory)


@pytest.mark.parametrize("table_budget", [0, 10**9], ids=["streaming", "table"])
def test_a_grid_of_memories_in_one_pass_equals_each_alone(features, table_budget, monkeypatch):
    requests = [ScoreRequest(features, bank_M, memory) for bank_M in BANKS for memory in MEMORIES]
    monkeypatch.setattr(memory_stage, "QUERY_BUDGET", 4 * 6 * 30 * 7)  # seven images at a time
    monkeypatch.setattr(memory_stage, "BANK_BLOCK", 4)
    fill_scores(requests, compute=InProcess(), table_budget=table_budget)
    monkeypatch.setattr(memory_stage, "_score", refuse)  # everything is there
    for request in requests:
        expected = plainly(features, request.bank_M, request.memory)
        np.testing.assert_allclose(stored(request), expected, atol=2e-6)


def refuse(*args, **options):
    raise AssertionError("this must not be called again")


def test_a_table_and_streaming_agree(features):
    requests = [ScoreRequest(features, BANKS[0], memory) for memory in MEMORIES]
    fill_scores(requests, compute=InProcess())
    tabled = [stored(request) for request in requests]
    for request in requests:
        for file in request.entry.iterdir():
            file.unlink()
        request.entry.rmdir()
    fill_scores(requests, compute=InProcess(), table_budget=0)
    for before, request in zip(tabled, requests, strict=True):
        np.testing.assert_allclose(before, stored(request), atol=2e-7)


def test_scores_that_nobody_prepared_are_computed_on_demand(features):
    request = ScoreRequest(features, BANKS[1], MemoryEnsemble(ratio=0.5))
    expected = plainly(features, request.bank_M, request.memory)
    np.testing.assert_allclose(stored(request), expected, atol=2e-6)


def test_damaged_scores_are_computed_again_with_a_warning(features):
    request = ScoreRequest(features, BANKS[0], MemoryEnsemble())
    before = stored(request)
    file = request.entry / "scores.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 0xFF
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        np.testing.assert_array_equal(stored(request), before)


@pytest.mark.parametrize("size", [None, 400])
def test_a_training_image_can_be_kept_from_its_own_memory(features, size):
    """exclude_self scores a training image as if it were not among those that banks are drawn from."""
    bank_M = BANKS[0]
    memory = MemoryEnsemble(ratio=0.1, size=size, exclude_self=True)
    scores = stored(ScoreRequest(features, bank_M, memory))
    whole = features.memory_NPC.astype(np.float32)
    for row in (0, 7, 25):
        others = bank_M[bank_M != row]
        distances = image_distances(whole[[row]], whole[others])
        exact = expected_scores(distances, 2)[0]
        if size is None:
            np.testing.assert_allclose(scores[row], exact, atol=2e-6)
        else:
            second = expected_scores(distances.astype(float) ** 2, 2)[0]
            error = np.sqrt((second - exact**2) / (size / 2))
            assert (np.abs(scores[row] - exact) < 5 * error).all()
    assert (scores[bank_M] > 0).all()
