"""Dinomaly: its published size, its invariants, and the gate against a gradient hook."""

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.networks import Reconstruction, score_map
from harness.networks.dinomaly import Dinomaly, LinearAttention


def features(*channels, images=3, patches=9, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(images, patches, c, generator=generator, dtype=dtype) for c in channels
    )


def build(channels, **settings):
    torch.manual_seed(0)
    return Dinomaly(**{"width": 16, "depth": 4, "heads": 2, **settings}).build(channels)


def test_at_vit_base_it_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = Dinomaly().build((768, 768))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count / 1e6 == pytest.approx(61.43, abs=0.01)


@pytest.mark.parametrize("channels", [(16, 16), (5, 12)])
def test_every_group_is_rebuilt_in_its_own_shape(channels):
    targets = features(*channels)
    reconstruction = build(channels)(targets)
    assert [r.shape for r in reconstruction.rebuilt] == [t.shape for t in targets]
    assert score_map(reconstruction).shape == (3, 9)


def test_prefix_tokens_take_part_and_are_dropped():
    targets, prefix = features(16, 16), torch.randn(3, 5, 16)
    network = build((16, 16)).eval()
    rebuilt = network(targets, prefix).rebuilt
    assert rebuilt[0].shape == targets[0].shape
    assert not torch.equal(rebuilt[0], network(targets).rebuilt[0])


def test_an_untrained_network_scores_about_one():
    scores = score_map(build((16, 16)).eval()(features(16, 16)))
    assert scores.mean().item() == pytest.approx(1, abs=0.2)


def test_scores_do_not_depend_on_the_size_of_the_reconstruction():
    targets = features(4, 6)
    rebuilt = features(4, 6, patches=9)[::1]
    scaled = tuple(3.0 * r + 0.0 for r in rebuilt)
    first, second = (score_map(Reconstruction(targets, r)) for r in (rebuilt, scaled))
    torch.testing.assert_close(first, second)
    assert (first >= -1e-6).all()
    assert (first <= 2).all()


def test_linear_attention_is_a_weighted_mean_of_values_in_any_order():
    torch.manual_seed(1)
    attention = LinearAttention(8, 2)
    tokens = torch.randn(2, 7, 8)
    order = torch.randperm(7)
    torch.testing.assert_close(attention(tokens)[:, order], attention(tokens[:, order]))
    with torch.no_grad():  # values that are all equal must come out as they are
        attention.qkv.weight[16:] = 0
        attention.qkv.bias[16:] = torch.arange(8.0)
    expected = attention.out(torch.arange(8.0)).expand(2, 7, 8)
    torch.testing.assert_close(attention(tokens), expected, rtol=1e-4, atol=1e-4)


def gradients(network, targets, step, *, hook):
    """Gradient of the native loss; with `hook`, by scaling the gradient of the plain loss as it flows back."""
    network.zero_grad()
    reconstruction = network(targets)
    if not hook:
        network.native_loss(reconstruction, step).backward()
    else:
        settings = network.settings
        easy = settings.discard * min(1.0, step / settings.ramp_steps)
        total = 0
        for target, rebuilt in zip(*reconstruction, strict=True):
            distances = 1 - torch.cosine_similarity(target, rebuilt.detach(), dim=-1)
            count = max(1, int(distances.numel() * (1 - easy)))
            threshold = distances.flatten().sort(descending=True).values[count - 1]
            scale = torch.full_like(distances, settings.damping)
            scale = scale.masked_fill(distances >= threshold, 1.0).unsqueeze(-1)
            passed = rebuilt.clone()
            passed.register_hook(lambda gradient, scale=scale: gradient * scale)
            flat = torch.cosine_similarity(target.flatten(1), passed.flatten(1), dim=-1)
            total = total + (1 - flat).mean() / 2
        total.backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("step", [0, 3, 50])
def test_the_gate_passes_the_same_gradient_as_a_hook(step):
    network = build((5, 12), ramp_steps=10).double().eval()
    targets = features(5, 12, dtype=torch.float64)
    by_gate = gradients(network, targets, step, hook=False)
    by_hook = gradients(network, targets, step, hook=True)
    torch.testing.assert_close(by_gate, by_hook, rtol=0, atol=1e-9)


def test_the_gate_changes_the_gradient_and_not_the_loss():
    network = build((5, 12), ramp_steps=10).eval()
    targets = features(5, 12)
    reconstruction = network(targets)
    losses = [network.native_loss(reconstruction, step).item() for step in (0, 10)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-7)
    free, gated = (gradients(network, targets, step, hook=False) for step in (0, 10))
    assert not torch.allclose(free, gated)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="heads must divide width"):
        Dinomaly(width=10, heads=3)
    with pytest.raises(InputError, match="multiple of the 2 target groups"):
        Dinomaly(width=8, heads=2, depth=3).build((8, 8))
    with pytest.raises(InputError, match="discard"):
        Dinomaly(discard=1.0)


def test_no_gradient_reaches_the_targets():
    targets = tuple(t.requires_grad_() for t in features(5, 12))
    network = build((5, 12))
    network.native_loss(network(tuple(t.detach() for t in targets)), 0).backward()
    assert all(t.grad is None for t in targets)
    assert np.isfinite([p.grad.norm().item() for p in network.parameters()]).all()
