"""Presets of MeDS as described in its paper and as run by its release; our own default is `MeDS()`.

`paper` and `release` differ in the distance, the distillation loss, the number of patches in an image score, and the
critical value. Settings that the paper does not specify are those of the release. A `NetworkPreset` is a network as
its authors train it, and MeDS on this network. Its encoder must be downloaded once.
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
"""Number of memory banks in the ensemble."""
STEPS = 10_000
"""Number of training steps of each stage of MeDS, and of Dinomaly."""
EPOCHS = 200
"""Number of epochs of INP-Former in its authors' training, and of HVQ-Trans in the paper's."""
DINOV2 = Encoder(
    name="vit_base_patch14_reg4_dinov2.lvd142m",
    weights="hub",
    image_size=448,
    crop_size=392,
    groups=((2, 3, 4, 5), (6, 7, 8, 9)),
    positions="dinov2",
)
"""Encoder of Dinomaly, INP-Former and MeDS: 28 x 28 patches."""
EFFICIENTNET_B4 = Encoder(
    name="tf_efficientnet_b4.aa_in1k",
    weights="hub",
    image_size=224,
    groups=((0,), (1,), (2,), (3,)),
)
"""Encoder of HVQ-Trans: 14 x 14 patches."""


@dataclass(frozen=True, kw_only=True)
class NetworkPreset:
    """A network as its authors train it, and MeDS on this network."""

    plain: ReconstructionDetector
    meds: MeDS
    encoder: Encoder


def paper(network: Dinomaly | InpFormer) -> MeDS:
    """Return MeDS as the paper describes it.

    Distances between unit features are Euclidean. The distillation loss is an unsquared norm per image. An image score
    is the mean over 1 % of the patches, rounded up. The critical value is k = 1.
    """
    return MeDS(
        network=replace(_gentle(network), distance="euclidean"),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True, distance="euclidean"),
        distillation=_training(network),
        finetuning=_training(network),
        discrepancy="l2norm",
        selection=ProgressiveSelection(critical_value=1.0),
    )


def release(network: Dinomaly | InpFormer) -> MeDS:
    """Return MeDS as its release runs it.

    Distances are cosine distances. The distillation loss is ten times the mean squared error. An image score is the
    mean over 1 % of the patches, rounded down. The critical value is k = 3.
    """
    return MeDS(
        network=_gentle(network),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True),
        distillation=_training(network),
        finetuning=_training(network),
        selection=ProgressiveSelection(critical_value=3.0, rounding="down"),
    )


def _gentle(network: Dinomaly | InpFormer) -> Dinomaly | InpFormer:
    """Return Dinomaly with the discard rate of fine-tuning, which is the same in paper and release."""
    return replace(network, discard=0.5) if isinstance(network, Dinomaly) else network


def _training(network: Dinomaly | InpFormer) -> TrainingConfig:
    if isinstance(network, InpFormer):
        return TrainingConfig(steps=STEPS, learning_rate=1e-3, final_learning_rate=1e-4)
    return TrainingConfig(steps=STEPS)


def dinomaly() -> NetworkPreset:
    """Return the preset of Dinomaly, for all categories of MVTec AD or VisA together."""
    network = Dinomaly()
    return NetworkPreset(
        plain=ReconstructionDetector(network=network), meds=paper(network), encoder=DINOV2
    )


def inp_former(images: int) -> NetworkPreset:
    """Return the preset of INP-Former for `images` training images.

    Its authors specify a number of epochs, which is converted to steps. MeDS has a fixed number of steps.
    """
    network = InpFormer()
    training = replace(_training(network), steps=_steps(images))
    return NetworkPreset(
        plain=ReconstructionDetector(network=network, training=training),
        meds=paper(network),
        encoder=DINOV2,
    )


def hvq(images: int) -> NetworkPreset:
    """Return the preset of HVQ-Trans for `images` training images.

    Both MeDS stages use the training length of HVQ-Trans, because MeDS has no released configuration for it.
    """
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
    """Return the number of full batches of 16 images in all epochs."""
    return EPOCHS * (images // 16)
