"""MeDS as its paper describes it, and as its release runs it, on the networks of both; our own default is `MeDS()`.

They differ in the distance, in the loss of distillation, in how many patches make an image's score and in the critical
value; where the paper is silent the release decides.
"""

from __future__ import annotations

from dataclasses import replace

from harness.meds import MeDS
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.inp_former import InpFormer
from harness.optimizer import Training
from harness.phases import ProgressiveSelection

BANKS = 100
STEPS = 10_000


def paper(network: Dinomaly | InpFormer) -> MeDS:
    """Euclidean distances between unit features, an unsquared norm per image to distil, 1 % rounded up, k = 1."""
    return MeDS(
        network=replace(_gentle(network), distance="euclidean"),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True, distance="euclidean"),
        distillation=_training(network),
        finetuning=_training(network),
        discrepancy="l2norm",
        selection=ProgressiveSelection(critical_value=1.0),
    )


def release(network: Dinomaly | InpFormer) -> MeDS:
    """Cosine distances, ten times the mean squared error to distil, 1 % rounded down, k = 3."""
    return MeDS(
        network=_gentle(network),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True),
        distillation=_training(network),
        finetuning=_training(network),
        selection=ProgressiveSelection(critical_value=3.0, rounding="down"),
    )


def _gentle(network: Dinomaly | InpFormer) -> Dinomaly | InpFormer:
    """Dinomaly with the discard rate that both fine-tune with."""
    return replace(network, discard=0.5) if isinstance(network, Dinomaly) else network


def _training(network: Dinomaly | InpFormer) -> Training:
    if isinstance(network, InpFormer):
        return Training(steps=STEPS, learning_rate=1e-3, final_learning_rate=1e-4)
    return Training(steps=STEPS)
