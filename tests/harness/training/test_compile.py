"""Compiled forward passes: the same losses and gradients, and training that goes on where nothing can be compiled."""

import logging
from dataclasses import replace

import pytest
import torch

from harness.contract.network import build, drawn_batch
from harness.training.compile import CompiledForward, compiled
from tests.harness.networks.test_networks import SMALL

SHALLOW = {
    name: replace(settings, depth=2) if hasattr(settings, "depth") else settings
    for name, settings in SMALL.items()
}
for name in ("hvq", "uniad"):  # whose dropout compiled attention draws in another order
    SHALLOW[name] = replace(SHALLOW[name], dropout=0.0)


def gradients(network, forward):
    torch.manual_seed(1)
    network.zero_grad()
    loss = network.native_loss(forward(drawn_batch(16, 16)), 5)
    loss.backward()
    return loss.item(), [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(settings, id=name, marks=() if name == "dinomaly" else pytest.mark.slow)
        for name, settings in SHALLOW.items()
    ],
)
def test_compiling_changes_neither_loss_nor_gradients(settings):
    network = build(settings, (16, 16)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss, of_eager = gradients(network, network)
    network.load_state_dict(before)
    # Everything of the compiler but the kernels, which need a C++ compiler that users may not have.
    traced = CompiledForward(network, backend="aot_eager")
    loss_traced, of_traced = gradients(network, traced)
    assert loss_traced == pytest.approx(loss, rel=1e-5)
    for eager, other in zip(of_eager, of_traced, strict=True):
        torch.testing.assert_close(other, eager, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_every_shape_is_compiled_for_itself():
    """More of them than torch compiles for by default, and never once for any shape."""
    shapes = []

    def backend(graph, inputs):
        shapes.append([size for value in inputs if torch.is_tensor(value) for size in value.shape])
        return graph

    network = build(SMALL["dinomaly"], (16, 16)).eval()
    forward = CompiledForward(network, backend=backend)
    sizes = range(2, 14)
    for size in (*sizes, *sizes):
        forward(drawn_batch(16, 16, images=size))
    assert len(shapes) == len(sizes)
    assert all(isinstance(size, int) for shape in shapes for size in shape)


def test_what_cannot_be_compiled_is_run_as_it_is_with_one_line_in_the_log(caplog):
    def broken(graph, inputs):
        raise OSError("no compiler here")

    network = build(SMALL["dinomaly"], (16, 16)).eval()
    forward = CompiledForward(network, backend=broken)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ours = forward(drawn_batch(16, 16))
    for rebuilt, expected in zip(ours.rebuilt, network(drawn_batch(16, 16)).rebuilt, strict=True):
        torch.testing.assert_close(rebuilt, expected)
    (line,) = caplog.messages
    assert "without torch.compile" in line
    assert "no compiler here" in line


def test_nothing_is_compiled_on_a_processor():
    network = build(SMALL["dinomaly"], (16, 16))
    assert compiled(network, torch.device("cpu")) is network
