"""Features that are easily computed elsewhere, for hand values of released code."""

import numpy as np

from harness.features import CategoryFeatures, CategoryImages, ImageSet
from harness.features.encoding import Encoded
from harness.runtime.cache import EntryWriter


def waves(*shape):
    return np.sin(1.7 * np.arange(np.prod(shape)) ** 1.1).reshape(shape).astype(np.float32)


def unit(features):
    return features / np.linalg.norm(features, axis=-1, keepdims=True)


def tokens():
    """A token of unit length for each of eight images."""
    return unit(np.abs(waves(8, 5)))


def held(memory_NPC, targets=(), prefix=None):
    """All images of one category, in memory."""
    return ImageSet.held(Encoded(memory_NPC, tuple(targets), prefix))


def rows(images, *chosen):
    """Some images of one category."""
    (category,) = images.categories
    return ImageSet((CategoryImages(category.features, np.array(chosen)),))


def stored(folder, memory_NPC, targets=(), prefix=None):
    """All images of one category in a store, half precision."""
    draft = EntryWriter(folder / "features")
    arrays = {"memory": memory_NPC, **{f"target-{i}": each for i, each in enumerate(targets)}}
    for name, values in (arrays if prefix is None else arrays | {"prefix": prefix}).items():
        draft.array(name, values.shape, np.float16)[:] = values
    draft.publish()
    features = CategoryFeatures(draft.target)
    return ImageSet((CategoryImages(features, np.arange(len(memory_NPC))),))
