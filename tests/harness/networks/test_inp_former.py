"""INP-Former: prototypes, guided blocks, soft mining, coherence."""

import pytest
import torch
from torch.nn import functional

from harness.networks import Batch, FeatureShapes, Reconstruction
from harness.networks.inp_former import Extractor, GuidedBlock, InpFormer, coherence


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def build(channels=(16, 16), **settings):
    torch.manual_seed(0)
    settings = {"width": 16, "depth": 4, "heads": 2, "prototypes": 3, **settings}
    return InpFormer(**settings).build(FeatureShapes(channels, 9, 1))


def test_prototypes_keep_the_order_of_their_queries():
    torch.manual_seed(0)
    extractor, tokens, order = Extractor(8, 2, 4), randn(2, 9, 8), [2, 0, 3, 1]
    before = extractor(tokens)
    assert before.shape == (2, 4, 8)
    with torch.no_grad():
        extractor.queries_MD.copy_(extractor.queries_MD[order])
    torch.testing.assert_close(extractor(tokens), before[:, order])


def test_scores_do_not_depend_on_the_order_of_prototypes():
    network, given = build(), Batch((randn(2, 9, 16), randn(2, 9, 16, seed=1)))
    before = network.score_map(network(given))
    with torch.no_grad():
        network.extractor.queries_MD.copy_(network.extractor.queries_MD.flip(0))
    torch.testing.assert_close(network.score_map(network(given)), before)


def test_coherence_is_the_mean_distance_to_the_nearest_prototype():
    directions = functional.normalize(randn(3, 8), dim=-1)
    tokens = (directions[[0, 1, 2, 1, 0]] * torch.tensor([[1.0], [5], [2], [0.1], [3]]))[None]
    assert coherence(tokens, directions[None]).item() == pytest.approx(0, abs=1e-6)
    tokens, prototypes = randn(2, 5, 8), randn(2, 3, 8, seed=1)
    by_hand = [
        min(1 - functional.cosine_similarity(token, p, dim=0) for p in prototypes[b])
        for b in range(2)
        for token in tokens[b]
    ]
    assert coherence(tokens, prototypes).item() == pytest.approx(float(sum(by_hand)) / 10, abs=1e-6)


def test_coherence_teaches_the_extractor_alone():
    network = build()
    network(Batch((randn(2, 9, 16), randn(2, 9, 16, seed=1)))).penalty.backward()
    taught = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert taught == {f"extractor.{name}" for name, _ in network.extractor.named_parameters()}
    assert network.extractor.queries_MD.grad.abs().sum() > 0


def test_nothing_passes_beside_the_attention_of_a_guided_block():
    block = GuidedBlock(8, 2)
    with torch.no_grad():
        for weight in [*block.attention.out.parameters(), *block.mlp.parameters()]:
            weight.zero_()
    assert (block(randn(2, 9, 8), randn(2, 3, 8)) == 0).all()


def test_equal_tokens_stay_equal():
    network = build().eval()
    constant = randn(2, 1, 16).expand(-1, 9, -1)
    for rebuilt in network(Batch((constant, constant))).rebuilt:
        torch.testing.assert_close(rebuilt, rebuilt[:, :1].expand_as(rebuilt))


def hooked_loss(network, reconstruction):
    """The native loss with its mining by hooks on the gradient."""
    losses = []
    for target, rebuilt in zip(reconstruction.targets, reconstruction.rebuilt, strict=True):
        distance = 1 - torch.cosine_similarity(target, rebuilt.detach(), dim=-1)
        weight = (distance / distance.mean()).pow(3).unsqueeze(-1)
        passed = rebuilt.clone()
        passed.register_hook(lambda gradient, weight=weight: gradient * weight)
        losses.append((1 - torch.cosine_similarity(target.flatten(1), passed.flatten(1))).mean())
    return sum(losses) / 2 + 0.2 * reconstruction.penalty


def test_soft_mining_passes_the_same_gradient_as_a_hook():
    network = build((5, 12)).double()
    given = Batch((randn(3, 9, 5, dtype=torch.double), randn(3, 9, 12, dtype=torch.double)))
    gradients = []
    for loss in (lambda r: network.native_loss(r, 0), lambda r: hooked_loss(network, r)):
        network.zero_grad()
        value = loss(network(given))
        value.backward()
        gradients.append((value, torch.cat([p.grad.flatten() for p in network.parameters()])))
    (first, by_gate), (second, by_hook) = gradients
    assert first.item() == pytest.approx(second.item(), abs=1e-12)
    torch.testing.assert_close(by_gate, by_hook, rtol=0, atol=1e-9)


def test_soft_mining_weighs_by_the_ratio_to_the_mean_distance():
    network = build((16,), coherence=0.0)
    target = randn(2, 9, 16)
    rebuilt = randn(2, 9, 16, seed=1).requires_grad_()
    reconstruction = Reconstruction((target,), (rebuilt,))
    (gradient,) = torch.autograd.grad(network.native_loss(reconstruction, 0), rebuilt)
    plain = (1 - torch.cosine_similarity(target.flatten(1), rebuilt.flatten(1))).mean()
    (free,) = torch.autograd.grad(plain, rebuilt)
    distance = 1 - torch.cosine_similarity(target, rebuilt.detach(), dim=-1)
    expected = free * (distance / distance.mean()).pow(3).unsqueeze(-1)
    torch.testing.assert_close(gradient, expected)
