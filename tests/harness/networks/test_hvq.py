"""HVQ-Trans: codebooks per category, their movement, and what passes through them."""

import pytest
import torch

from harness.networks import Batch, FeatureShapes
from harness.networks.hvq import Hvq
from harness.networks.vector_quantizer import Codebooks

CATEGORIES = torch.tensor([0, 1, 0])


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def books(x_BPD, category_B, codes=4, decay=0.9):
    torch.manual_seed(0)
    made = Codebooks(2, codes, x_BPD.shape[-1], decay=decay)
    made(x_BPD, category_B)
    return made


def test_codes_start_as_patches_of_their_own_category():
    torch.manual_seed(0)
    x_BPD = randn(3, 9, 5)
    made = Codebooks(2, 4, 5, decay=0.9)
    for category in (0, 1):
        made._start(category, x_BPD[category == CATEGORIES].flatten(0, 1))
        nearest = torch.cdist(made.codes_KMD[category], x_BPD[category == CATEGORIES].flatten(0, 1))
        assert (nearest.min(dim=1).values < 1e-3).all()


def test_quantised_values_are_the_nearest_codes():
    x_BPD = randn(3, 9, 5)
    made = books(x_BPD, CATEGORIES).eval()
    quantised, commitment = made(x_BPD, CATEGORIES)
    for image, category in enumerate(CATEGORIES):
        distances = torch.linalg.norm(x_BPD[image][:, None] - made.codes_KMD[category], dim=-1)
        expected = made.codes_KMD[category][distances.argmin(dim=1)]
        torch.testing.assert_close(quantised[image], expected)
    assert commitment.item() == pytest.approx((quantised - x_BPD).square().mean().item(), rel=1e-5)


def test_the_gradient_goes_straight_through():
    x_BPD = randn(3, 9, 5).requires_grad_()
    made = books(x_BPD.detach(), CATEGORIES).eval()
    weights = randn(3, 9, 5, seed=1)
    quantised, commitment = made(x_BPD, CATEGORIES)
    (gradient,) = torch.autograd.grad((quantised * weights).sum() + commitment, x_BPD)
    pull = 2 * (x_BPD - quantised).detach() / x_BPD.numel()
    torch.testing.assert_close(gradient, weights + pull)


def test_commitment_is_zero_at_codes():
    made = books(randn(3, 9, 5), CATEGORIES).eval()
    at_codes = made.codes_KMD[0][[0, 3, 1]][None]
    assert made(at_codes, torch.tensor([0]))[1].item() < 1e-10


def test_codes_converge_to_what_is_assigned_to_them():
    x_BPD = randn(1, 1, 5).expand(1, 9, 5)
    made = books(randn(2, 9, 5, seed=1), torch.tensor([0, 1])).train()
    for _ in range(200):
        made(x_BPD, torch.tensor([0]))
    torch.testing.assert_close(made.eval()(x_BPD, torch.tensor([0]))[0], x_BPD, atol=1e-3, rtol=0)


def test_one_image_moves_codes_as_written():
    """n <- d n + (1 - d) count, sum <- d sum + (1 - d) sum of assigned, code = sum / smoothed n."""
    made = books(randn(2, 9, 5), torch.tensor([0, 1]), decay=0.9).train()
    codes, counts, sums = (v[0].clone() for v in (made.codes_KMD, made.counts_KM, made.sums_KMD))
    x_PD = randn(9, 5, seed=2)
    nearest = torch.cdist(x_PD, codes).argmin(dim=1)
    made(x_PD[None], torch.tensor([0]))
    for m in range(4):
        counts[m] = 0.9 * counts[m] + 0.1 * (nearest == m).sum()
        sums[m] = 0.9 * sums[m] + 0.1 * x_PD[nearest == m].sum(dim=0)
    smooth = (counts + 1e-5) / (counts.sum() + 4e-5) * counts.sum()
    torch.testing.assert_close(made.codes_KMD[0], sums / smooth[:, None])


def test_a_batch_of_a_category_decays_as_often_as_it_has_images():
    made = books(randn(2, 9, 5), torch.tensor([0, 1]), decay=0.9).train()
    before = made.counts_KM.sum(dim=1)
    made(randn(3, 9, 5), torch.tensor([0, 0, 0]))
    after = made.counts_KM.sum(dim=1)
    assert after[0].item() == pytest.approx(0.729 * before[0].item() + 0.271 * 9, rel=1e-5)
    assert after[1] == before[1]


def build(*, size=1.0, **settings):
    torch.manual_seed(0)
    settings = {"width": 16, "depth": 2, "heads": 2, "hidden": 24, "codes": 8, **settings}
    network = Hvq(**settings).build(FeatureShapes((5, 12), 9, 2))
    given = Batch((size * randn(3, 9, 5), size * randn(3, 9, 12)), None, CATEGORIES)
    network(given)
    return network, given


def test_permuting_codes_changes_nothing():
    network, given = build()
    network.eval()
    before = network(given).rebuilt[0]
    order = torch.randperm(8)
    for book in network.books:
        book.codes_KMD.copy_(book.codes_KMD[:, order].clone())
    torch.testing.assert_close(network(given).rebuilt[0], before)


def test_the_category_chooses_codes_and_head_and_not_the_target():
    network, given = build()
    network.eval()
    other = given._replace(category_B=1 - given.category_B)
    assert torch.equal(network(given).targets[0], network(other).targets[0])
    assert not torch.allclose(network(given).rebuilt[0], network(other).rebuilt[0])


def test_scores_are_lengths_of_the_error():
    network, given = build()
    rebuilt = network(given)
    expected = torch.linalg.norm(rebuilt.rebuilt[0] - rebuilt.targets[0], dim=-1)
    torch.testing.assert_close(network.score_map(rebuilt), expected, atol=1e-5, rtol=1e-5)


def test_positions_tell_rows_and_columns_apart():
    network, _ = build()
    position = network.position()
    assert position.shape == (9, 16)
    assert torch.equal(position[0, :8], position[3, :8])  # one column
    assert torch.equal(position[0, 8:], position[2, 8:])  # one row


def test_the_size_of_the_features_is_that_of_the_reconstruction_and_changes_nothing_else():
    (small, given_small), (large, given_large) = build(size=0.05), build(size=20.0)
    rebuilt, other = small.eval()(given_small), large.eval()(given_large)
    torch.testing.assert_close(400 * rebuilt.rebuilt[0], other.rebuilt[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(small.native_loss(rebuilt, 0), large.native_loss(other, 0))


@pytest.mark.parametrize(("scale", "lowest", "highest"), [("image", 1, 2), ("raw", 3, 10)])
def test_an_untrained_network_is_about_as_wrong_as_its_features_are_large(scale, lowest, highest):
    """Except with features of unit length and the published scale: their 17 values are small, and its output is not."""
    network, given = build(feature_scale=scale)
    units = tuple(torch.nn.functional.normalize(group, dim=-1) for group in given.targets)
    (target_BPC,), (rebuilt_BPC,), _ = network.eval()(given._replace(targets=units))
    error = (rebuilt_BPC - target_BPC).square().mean() / target_BPC.square().mean()
    assert lowest < error.item() < highest
