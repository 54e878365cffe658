"""A detector that is restored from its arrays scores new images as the fitted one scores the stored ones."""

import numpy as np
import pytest
from safetensors.numpy import load, save

from harness.features import CategoryFeatures, CategoryImages, HeldFeatures, ImageSet
from harness.features.encoding import Encoded
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.runtime.compute import InProcess
from tests.harness.experiment.test_experiment import DETECTORS


def held(images: ImageSet) -> ImageSet:
    """Copies of the images in memory, in another order of rows, without the folder of the store."""

    def copy(category: CategoryImages) -> CategoryImages:
        features, order = category.features, category.rows_N[::-1]
        encoded = Encoded(
            features.memory_NPC[order],
            tuple(group[order] for group in features.targets),
            features.prefix_NTC,
            features.pixels_NHWC[order],
        )
        return CategoryImages(HeldFeatures(encoded=encoded), np.arange(len(order))[::-1])

    return ImageSet(tuple(map(copy, images.categories)))


def to_score(small) -> ImageSet:
    samples = small.prepared.samples
    return small.prepared.images(samples[samples["split"] == "test"])


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_every_detector_is_restored_from_its_arrays(small, detector):
    scorer = detector.fit(small.train_images, seed=0, compute=InProcess())
    arrays = load(save(dict(scorer.arrays)))
    restored = detector.restore(arrays)
    assert {name: array.dtype for name, array in restored.arrays.items()} == {
        name: array.dtype for name, array in arrays.items()
    }
    images = to_score(small)
    expected = scorer.score(images)
    np.testing.assert_allclose(restored.score(held(images)), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(restored.score(images), expected, rtol=0, atol=1e-5)


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
