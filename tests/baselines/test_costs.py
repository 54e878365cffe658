"""Work that is done once instead of often leaves the bits of results alone."""

import pickle

import numpy as np
import pytest
import torch

from baselines.inreach import _match
from baselines.patch_bank.banks import Bank, BankScorer, searched
from baselines.patch_bank.nearest import DeviceRows, nearest, on_device

RNG = np.random.default_rng(11)


def test_a_bank_is_copied_once_and_searched_as_if_copied_every_time():
    first, second = (Bank(RNG.standard_normal((300, 7)).astype(np.float32)) for _ in range(2))
    scorer = BankScorer(banks=(first, second), squared=True)
    for _ in range(2):
        for number, bank in enumerate((first, second)):
            queries_NPC = RNG.standard_normal((3, 5, 7)).astype(np.float32)
            fresh = DeviceRows.of(on_device(bank.rows_RC))
            squares, _ = nearest(queries_NPC.reshape(-1, 7), fresh)
            found = scorer.score_patches(number, queries_NPC)
            np.testing.assert_array_equal(found.reshape(-1), squares[:, 0])
    copied = pickle.loads(pickle.dumps(second))  # as an actor receives it for every item
    assert searched(copied) is searched(second)
    assert searched(first) is not searched(Bank(first.rows_RC))


@pytest.mark.parametrize(("seeds", "patches", "channels"), [(1, 9, 3), (4, 64, 20), (10, 196, 64)])
def test_seed_images_are_matched_one_by_one_as_all_at_once(seeds, patches, channels):
    own = torch.from_numpy(RNG.standard_normal((patches, channels)).astype(np.float32))
    others = torch.from_numpy(RNG.standard_normal((seeds, patches, channels)).astype(np.float32))
    affinity = own @ others.mT
    affinity -= others.square().sum(dim=2)[:, None] / 2
    affinity -= own.square().sum(dim=1)[:, None] / 2
    nearest_SP, back_SQ = affinity.argmax(dim=2), affinity.argmax(dim=1)
    picked = torch.stack([seed[near] for seed, near in zip(others, nearest_SP, strict=True)])
    expected = (
        nearest_SP,
        (picked - own).square().sum(dim=2),
        back_SQ.gather(1, nearest_SP) == torch.arange(patches),
    )
    for found, whole in zip(_match(own, others), expected, strict=True):
        np.testing.assert_array_equal(found, whole.numpy())
