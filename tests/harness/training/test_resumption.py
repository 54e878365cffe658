"""Checkpoints of training: a killed training goes on to the same weights, and no foreign or damaged file is used."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.reverse_distillation import ReverseStudent
from harness.networks.hvq import Hvq
from harness.runtime.checkpoints import Checkpoints, digest
from harness.runtime.compute import InProcess
from harness.training import run_phase
from harness.training.phases import AdaptiveObjective, ProgressiveSelector
from tests.support.dataset import NETWORK
from tests.support.training import same, train

HVQ = Hvq(width=16, depth=2, heads=2, hidden=24, codes=8)
STUDENT = ReverseStudent(bottleneck=1, stages=(1, 1))


class KilledError(Exception):
    """A process that ends in mid-training."""


def killed_and_resumed(phase, killed_at, folder):
    """Train until a step, then train in another process from the last checkpoint."""

    def die(phase, step, steps, loss):
        if step == killed_at:
            raise KilledError

    checkpoints = Checkpoints(folder, every=2)
    with pytest.raises(KilledError):
        InProcess(die, checkpoints).train(run_phase, phase)
    steps = []
    going_on = InProcess(lambda phase, step, *_: steps.append(step), checkpoints)
    resumed = going_on.train(run_phase, phase)
    assert steps[0] == killed_at // 2 * 2 + 1
    return resumed


@dataclass(frozen=True)
class Varying:
    """An objective with a factor per pass, which depends on chance, on the scores and on the passes before."""

    factors: tuple = ()

    def begin_pass(self, start):
        drawn = start.generator.random() + float(start.current_NP().mean())
        assert start.read(np.arange(2)).targets[0].shape[0] == 2
        return Varying((*self.factors, sum(self.factors) + drawn))

    def loss(self, network, reconstruction, rows_B, step):
        return self.factors[-1] * network.native_loss(reconstruction, step)

    @property
    def course(self):
        return {"factors": self.factors}

    def after(self, course):
        return Varying(course["factors"])


@pytest.mark.parametrize(
    "network", [NETWORK, HVQ, STUDENT], ids=["dinomaly", "hvq", "reverse_distillation"]
)
@pytest.mark.parametrize("killed_at", [3, 4, 5, 11])
def test_training_that_was_killed_goes_on_to_the_same_weights(
    phase, reference, tmp_path, network, killed_at
):
    phase = replace(
        phase,
        network=network,
        selector=ProgressiveSelector(reference),
        training=replace(phase.training, steps=12),
    )
    undisturbed = train(phase)
    resumed = killed_and_resumed(phase, killed_at, tmp_path)
    assert same(resumed.state, undisturbed.state)
    np.testing.assert_array_equal(resumed.losses_T, undisturbed.losses_T)
    assert len(resumed.selections) == len(undisturbed.selections)
    for (first, one), (second, other) in zip(
        resumed.selections, undisturbed.selections, strict=True
    ):
        assert first == second
        np.testing.assert_array_equal(one.criterion_N, other.criterion_N)


@pytest.mark.parametrize("killed_at", [3, 4, 11])
def test_a_killed_objective_that_varies_goes_on_to_the_same_weights(phase, tmp_path, killed_at):
    assert isinstance(Varying(), AdaptiveObjective)
    assert not isinstance(phase.objective, AdaptiveObjective)
    training = replace(phase.training, steps=12)  # two passes
    phase = replace(phase, objective=Varying(), training=training)
    resumed, undisturbed = killed_and_resumed(phase, killed_at, tmp_path), train(phase)
    assert same(resumed.state, undisturbed.state)
    np.testing.assert_array_equal(resumed.losses_T, undisturbed.losses_T)


def test_a_finished_phase_is_not_trained_again(phase, tmp_path):
    steps = []
    compute = InProcess(lambda *args: steps.append(args), Checkpoints(tmp_path))
    first = compute.train(run_phase, phase)
    assert len(steps) == 6
    steps.clear()
    again = compute.train(run_phase, phase)
    assert not steps
    assert same(first.state, again.state)


def test_checkpoints_of_other_phases_are_left_alone(phase, tmp_path):
    compute = InProcess(checkpoints=Checkpoints(tmp_path))
    compute.train(run_phase, phase)
    other = replace(phase, seed=1)
    assert same(compute.train(run_phase, other).state, train(other).state)


def test_a_damaged_checkpoint_is_named_and_not_used(phase, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    compute = InProcess(checkpoints=checkpoints)
    first = compute.train(run_phase, phase)
    file = checkpoints.file(phase)
    file.write_bytes(file.read_bytes()[:-10] + b"0123456789")
    with pytest.warns(UserWarning, match=file.name):
        assert same(compute.train(run_phase, phase).state, first.state)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["network"].popitem(),
        lambda state: state["network"].update({name: torch.ones(3) for name in state["network"]}),
        lambda state: state.pop("order"),
        lambda state: state.update(selections=[(0, {"unknown": 1})]),
        lambda state: state.update(optimizer=None),
        lambda state: state["dropout"].append(state["dropout"][0]),
    ],
)
def test_an_intact_checkpoint_of_something_else_is_named_and_not_used(change, phase, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    compute = InProcess(checkpoints=checkpoints)
    first = compute.train(run_phase, phase)
    state = checkpoints.load(phase)
    change(state)
    checkpoints.save(phase, state)
    with pytest.warns(UserWarning, match="does not fit this training"):
        assert same(compute.train(run_phase, phase).state, first.state)


def test_a_path_counts_by_its_last_part():
    assert digest(Path("/here/features/ab")) == digest(Path("/there/features/ab"))
    assert digest(Path("/here/features/ab")) != digest(Path("/here/features/cd"))
