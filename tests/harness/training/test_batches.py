"""Batches read ahead: those that were asked for, whatever was announced."""

import numpy as np
import pytest
import torch

from harness.training.batches import (
    BatchReader,
    ResidentFeatures,
    StoredFeatures,
    fits,
    read_batch,
)

CPU = torch.device("cpu")


@pytest.fixture
def images(small):
    return small.train_images


def same(first, second):
    pairs = zip(first.targets, second.targets, strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and torch.equal(
        first.category_B, second.category_B
    )


def test_every_batch_is_what_was_asked_for(images):
    reader, rng = BatchReader(StoredFeatures(images, CPU)), np.random.default_rng(0)
    batches = [rng.permutation(len(images))[:4] for _ in range(6)]
    batches[3] = batches[2]
    for rows, following in zip(batches, [*batches[1:], None], strict=True):
        assert same(reader.read(rows, then_B=following), read_batch(images, rows, CPU))


def test_a_batch_that_was_not_announced_is_read_too(images):
    reader = BatchReader(StoredFeatures(images, CPU))
    reader.read(np.array([0]), then_B=np.array([1, 2]))
    asked = np.array([3, 4])
    assert same(reader.read(asked, then_B=None), read_batch(images, asked, CPU))


def test_what_goes_wrong_while_reading_ahead_is_raised_when_it_is_asked_for(images):
    reader, beyond = BatchReader(StoredFeatures(images, CPU)), np.array([len(images)])
    reader.read(np.array([0]), then_B=beyond)
    with pytest.raises(IndexError):
        reader.read(beyond, then_B=None)


def test_copies_on_a_device_give_the_batches_of_the_files(images):
    """A GPU holds such copies; here the CPU does."""
    resident, stored = ResidentFeatures(images, CPU), StoredFeatures(images, CPU)
    rows = np.random.default_rng(1).permutation(len(images))
    for rows_B in np.array_split(rows, 5):
        assert same(resident.read(rows_B), stored.read(rows_B))
    assert same(resident.read(rows[[3, 3]]), stored.read(rows[[3, 3]]))


def test_features_stay_on_a_gpu_only_within_its_shares_of_memory(images):
    part = images.categories[0].features
    size = len(images) * sum(group[0].nbytes for group in part.targets)
    assert fits(images, free=10 * size, total=10 * size)
    assert not fits(images, free=10 * size, total=4 * size)
    assert not fits(images, free=size, total=10 * size)
