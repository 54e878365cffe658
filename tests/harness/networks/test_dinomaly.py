"""Dinomaly: linear attention, prefix tokens, and the gate against a gradient hook."""

import pytest
import torch

from harness.networks import Batch, FeatureShapes, Reconstruction
from harness.networks.dinomaly import Dinomaly, LinearAttention


def features(*channels, images=3, patches=9, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(images, patches, c, generator=generator, dtype=dtype) for c in channels
    )


def build(channels, **settings):
    torch.manual_seed(0)
    settings = {"width": 16, "depth": 4, "heads": 2, **settings}
    return Dinomaly(**settings).build(FeatureShapes(channels, 9, 1))


def test_prefix_tokens_take_part_and_are_dropped():
    targets, prefix = features(16, 16), torch.randn(3, 5, 16)
    network = build((16, 16)).eval()
    rebuilt = network(Batch(targets, prefix)).rebuilt
    assert rebuilt[0].shape == targets[0].shape
    assert not torch.equal(rebuilt[0], network(Batch(targets)).rebuilt[0])


def test_on_wide_groups_their_mean_enters_the_bottleneck():
    targets, seen = features(16, 16), []
    network = build((16, 16)).eval()
    network.bottleneck.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(Batch(targets))
    assert torch.equal(seen[0], (targets[0] + targets[1]) / 2)


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
    reconstruction = network(Batch(targets))
    if not hook:
        network.native_loss(reconstruction, step).backward()
    else:
        settings = network.settings
        easy = settings.discard * min(1.0, step / settings.ramp_steps)
        total = 0
        for target, rebuilt in zip(*reconstruction[:2], strict=True):
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
    reconstruction = network(Batch(targets))
    losses = [network.native_loss(reconstruction, step).item() for step in (0, 10)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-7)
    free, gated = (gradients(network, targets, step, hook=False) for step in (0, 10))
    assert not torch.allclose(free, gated)


def test_the_gate_holds_back_the_easy_half():
    """At the end of the ramp the hard patches keep their gradient, the others a tenth of theirs."""
    network = build((16,), ramp_steps=1, discard=0.5)
    target = features(16, images=4, patches=25)[0]
    rebuilt = torch.randn_like(target).requires_grad_()
    lengths = []
    for step in (0, 1):
        loss = network.native_loss(Reconstruction((target,), (rebuilt,)), step)
        (gradient,) = torch.autograd.grad(loss, rebuilt)
        lengths.append(gradient.norm(dim=-1))
    ratio = (lengths[1] / lengths[0]).flatten()
    assert (ratio - 1).abs().lt(1e-4).sum() == 50
    assert (ratio - 0.1).abs().lt(1e-4).sum() == 50
