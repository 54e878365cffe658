"""Batches read ahead: those that were asked for, whatever was announced."""

import numpy as np
import pytest
import torch

from harness.training.batches import BatchReader, read_batch

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
    reader, rng = BatchReader(images, CPU), np.random.default_rng(0)
    batches = [rng.permutation(len(images))[:4] for _ in range(6)]
    batches[3] = batches[2]
    for rows, following in zip(batches, [*batches[1:], None], strict=True):
        assert same(reader.read(rows, then_B=following), read_batch(images, rows, CPU))


def test_a_batch_that_was_not_announced_is_read_too(images):
    reader = BatchReader(images, CPU)
    reader.read(np.array([0]), then_B=np.array([1, 2]))
    asked = np.array([3, 4])
    assert same(reader.read(asked, then_B=None), read_batch(images, asked, CPU))


def test_what_goes_wrong_while_reading_ahead_is_raised_when_it_is_asked_for(images):
    reader, beyond = BatchReader(images, CPU), np.array([len(images)])
    reader.read(np.array([0]), then_B=beyond)
    with pytest.raises(IndexError):
        reader.read(beyond, then_B=None)
