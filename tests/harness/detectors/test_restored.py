"""Images in memory get the scores of images in the store; `harness.contract.detector` checks detectors."""

import numpy as np
import pytest

from harness.contract.detector import held
from harness.features import CategoryFeatures, ImageSet
from harness.features.encoding import Encoded
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores


def to_score(small) -> ImageSet:
    samples = small.prepared.samples
    return small.prepared.images(samples[samples["split"] == "test"])


@pytest.mark.parametrize(
    "memory",
    [
        MemoryEnsemble(ratio=0.5, distance="euclidean"),
        MemoryEnsemble(ratio=0.3, size=70),
        MemoryEnsemble(precision="fast"),
    ],
)
def test_images_outside_the_store_get_the_scores_of_its_images(small, memory):
    images = to_score(small)
    expected = memory_scores(images, small.train_images, memory)
    found = memory_scores(held(images), small.train_images, memory)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_features_in_memory_are_never_taken_for_those_of_a_folder(small):
    one, two = (ImageSet.held(Encoded(np.zeros((1, 1, 1)), (), None)) for _ in range(2))
    first, second = (images.categories[0].features for images in (one, two))
    assert first == first
    assert first != second
    assert first != CategoryFeatures(first.folder)
