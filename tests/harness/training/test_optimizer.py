"""StableAdamW against a scalar transcription of its formulas and against timm; the schedule's corners."""

import inspect
import math

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.training import optimizer
from harness.training.optimizer import StableAdamW, TrainingConfig, learning_rate, make_optimizer


def by_the_formula(start, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-10, decay=1e-4):
    theta, mean, square, largest = start.copy(), 0.0, 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        largest = np.maximum(largest, square)
        denominator = np.sqrt(largest) / math.sqrt(1 - beta2**t) + eps
        rms = np.linalg.norm(gradient / denominator) / math.sqrt(gradient.size)
        theta = theta * (1 - lr * decay)
        theta = theta - lr / (1 - beta1**t) / max(1, rms) * mean / denominator
    return theta


@pytest.mark.parametrize("together", [False, True])
def test_steps_follow_the_formula(monkeypatch, together):
    """A GPU updates all parameters together; here the CPU does, too."""
    monkeypatch.setattr(optimizer, "on_gpu", lambda parameters: together)
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4))
    gradients = [rng.normal(size=(3, 4)) * scale for scale in (1, 1, 20, 0.1, 5)]
    parameter = torch.nn.Parameter(torch.tensor(start))
    made = StableAdamW([parameter], lr=0.05)
    for gradient in gradients:
        parameter.grad = torch.from_numpy(gradient)
        made.step()
    expected = by_the_formula(start, gradients, 0.05)
    np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12)


def test_steps_are_those_of_timm():
    """The AdamW of newer versions of timm can clip as StableAdamW does."""
    theirs = pytest.importorskip("timm.optim").AdamWLegacy
    if "clipping_threshold" not in inspect.signature(theirs).parameters:
        pytest.skip("this version of timm does not clip")
    rng = np.random.default_rng(1)
    start = torch.from_numpy(rng.normal(size=(3, 4)))
    parameters = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    settings = {"lr": 0.05, "eps": 1e-10, "weight_decay": 1e-4}
    made = (
        StableAdamW(parameters[:1], **settings),
        theirs(parameters[1:], amsgrad=True, clipping_threshold=1.0, **settings),
    )
    for scale in (1, 1, 20, 0.1, 5):
        gradient = torch.from_numpy(rng.normal(size=(3, 4)) * scale)
        for parameter, each in zip(parameters, made, strict=True):
            parameter.grad = gradient.clone()
            each.step()
    torch.testing.assert_close(parameters[0], parameters[1], rtol=1e-12, atol=0)


def test_parameters_that_are_updated_together_move_as_each_one_alone(monkeypatch):
    torch.manual_seed(5)
    shapes, lists = [(7, 5), (5,), (1, 3, 2), (4,)], {}
    gradients = [[torch.randn(shape) * scale for shape in shapes] for scale in (1, 30, 0.01, 2)]
    for together in (False, True):
        monkeypatch.setattr(optimizer, "on_gpu", lambda parameters, now=together: now)
        lists[together] = [torch.nn.Parameter(torch.ones(shape)) for shape in shapes]
        made = StableAdamW(lists[together], lr=0.03)
        for step, each in enumerate(gradients):
            for i, (parameter, gradient) in enumerate(zip(lists[together], each, strict=True)):
                parameter.grad = None if i == 3 and step == 1 else gradient  # a head without images
            made.step()
    for alone, together in zip(lists[False], lists[True], strict=True):
        torch.testing.assert_close(alone, together, rtol=2e-6, atol=1e-7)


def test_a_rate_of_zero_changes_nothing():
    parameter = torch.nn.Parameter(torch.ones(5))
    parameter.grad = torch.ones(5)
    StableAdamW([parameter], lr=0.0).step()
    assert (parameter == 1).all()


def test_a_surprising_gradient_moves_less_than_plain_adamw():
    steps = {}
    for name, kind in {
        "stable": lambda p: StableAdamW(p, lr=0.01),
        "plain": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=1e-4, amsgrad=True),
    }.items():
        parameter = torch.nn.Parameter(torch.zeros(4))
        made = kind([parameter])
        for size in (1.0, 1.0, 50.0):
            before = parameter.detach().clone()
            parameter.grad = torch.full((4,), size)
            made.step()
        steps[name] = (parameter.detach() - before).abs().max().item()
    assert steps["stable"] == pytest.approx(steps["plain"] / 1.73, rel=0.01)


def test_the_schedule_warms_up_and_falls_to_its_end():
    rates = [learning_rate(t, TrainingConfig(steps=2000)) for t in range(2000)]
    assert rates[0] == 0
    assert rates[99] == rates[100] == pytest.approx(2e-3)
    assert rates[1050] == pytest.approx((2e-3 + 2e-4) / 2)
    assert rates[-1] == pytest.approx(2e-4, rel=1e-3)
    assert rates[100:] == sorted(rates[100:], reverse=True)


@pytest.mark.parametrize("steps", [1, 5, 10, 101])
def test_short_runs_have_a_short_warm_up(steps):
    settings = TrainingConfig(steps=steps, learning_rate=1.0, final_learning_rate=0.1)
    rates = [learning_rate(t, settings) for t in range(steps)]
    assert all(0 <= rate <= 1 for rate in rates)
    assert max(rates) == 1.0


def test_the_step_schedule_falls_once_at_four_fifths():
    settings = TrainingConfig(
        steps=10, learning_rate=1e-4, final_learning_rate=1e-5, schedule="step", optimizer="adamw"
    )
    assert [learning_rate(t, settings) for t in range(10)] == [1e-4] * 8 + [1e-5] * 2
    weights = [torch.nn.Parameter(torch.ones(1))]
    assert type(make_optimizer(weights, settings)) is torch.optim.AdamW
    assert type(make_optimizer(weights, TrainingConfig())) is StableAdamW


def test_without_weight_decay_adamw_is_adam_with_these_betas():
    settings = TrainingConfig(
        optimizer="adamw", learning_rate=0.05, weight_decay=0, betas=(0.5, 0.999)
    )
    ours, theirs = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    made = make_optimizer([ours], settings)
    adam = torch.optim.Adam([theirs], lr=0.05, betas=(0.5, 0.999))
    for gradient in torch.randn(5, 4, generator=torch.Generator().manual_seed(0)):
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        made.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)
    assert make_optimizer([ours], TrainingConfig(betas=(0.5, 0.9))).defaults["betas"] == (0.5, 0.9)


@pytest.mark.parametrize(("images", "steps"), [(3629, 22_600), (4796, 29_900), (16, 100), (3, 100)])
def test_epochs_stay_the_same_with_any_number_of_images(images, steps):
    training = TrainingConfig(steps=22_600, images=3629)
    assert training.over(images) == TrainingConfig(steps=steps)
    assert TrainingConfig(steps=7).over(images) == TrainingConfig(steps=7)


def test_steps_counted_for_less_than_a_batch_are_refused():
    with pytest.raises(InputError, match="cannot fill one batch of 16"):
        TrainingConfig(images=15)
