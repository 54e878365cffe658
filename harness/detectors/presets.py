"""MeDS as its paper describes it, and as its release runs it, on the networks of both; our own default is `MeDS()`.

`NetworkPreset`s are networks as their authors train them, and MeDS on them, with encoders that must be downloaded once.

They differ in the distance, in the loss of distillation, in how many patches make an image's score and in the critical
value; where the paper is silent the release decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.detectors.meds import MeDS
from harness.detectors.reconstruction import ReconstructionDetector
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.training.optimizer import TrainingConfig
from harness.training.phases import ProgressiveSelection

BANKS = 100
STEPS = 10_000
EPOCHS = 200
"""Of INP-Former as its authors train it, and of HVQ-Trans as the paper does."""
DINOV2 = Encoder(
    name="vit_base_patch14_reg4_dinov2.lvd142m",
    weights="hub",
    image_size=448,
    crop_size=392,
    groups=((2, 3, 4, 5), (6, 7, 8, 9)),
    positions="dinov2",
)
"""The encoder of Dinomaly, INP-Former and MeDS: 28 x 28 patches."""
EFFICIENTNET_B4 = Encoder(
    name="tf_efficientnet_b4.aa_in1k",
    weights="hub",
    image_size=224,
    groups=((0,), (1,), (2,), (3,)),
)
"""The encoder of HVQ-Trans: 14 x 14 patches."""


@dataclass(frozen=True, kw_only=True)
class NetworkPreset:
    """A network as its authors train it, and MeDS on it."""

    plain: ReconstructionDetector
    meds: MeDS
    encoder: Encoder


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


def _training(network: Dinomaly | InpFormer) -> TrainingConfig:
    if isinstance(network, InpFormer):
        return TrainingConfig(steps=STEPS, learning_rate=1e-3, final_learning_rate=1e-4)
    return TrainingConfig(steps=STEPS)


def dinomaly() -> NetworkPreset:
    """Dinomaly, for all categories of MVTec AD or VisA."""
    network = Dinomaly()
    return NetworkPreset(
        plain=ReconstructionDetector(network=network), meds=paper(network), encoder=DINOV2
    )


def inp_former(images: int) -> NetworkPreset:
    """INP-Former on so many training images: its authors count epochs, MeDS counts steps."""
    network = InpFormer()
    training = replace(_training(network), steps=_steps(images))
    return NetworkPreset(
        plain=ReconstructionDetector(network=network, training=training),
        meds=paper(network),
        encoder=DINOV2,
    )


def hvq(images: int) -> NetworkPreset:
    """HVQ-Trans on so many training images, both stages of MeDS as long as its own training; what has no release."""
    training = TrainingConfig(
        steps=_steps(images),
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        optimizer="adamw",
        schedule="step",
    )
    memory = MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True, distance="euclidean")
    meds = MeDS(network=Hvq(), memory=memory, distillation=training, finetuning=training)
    return NetworkPreset(
        plain=ReconstructionDetector(network=Hvq(), training=training),
        meds=meds,
        encoder=EFFICIENTNET_B4,
    )


def _steps(images: int) -> int:
    """Steps of 16 images in all epochs, without the remainders."""
    return EPOCHS * (images // 16)
