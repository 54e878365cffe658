"""Presets of MeDS as described in its paper and as run by its release; our own default is `MeDS()`.

`paper` and `release` differ in the distance, the distillation loss, the number of patches in an image score, and the
critical value. For INP-Former, they also differ in the training length. Settings that the paper does not specify are
those of the release. A `NetworkPreset` is a network as its authors train it, and MeDS on this network. Its encoder
must be downloaded once.

Sources: the release of MeDS at revision 5842858d, and appendix B.2 of its paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.anomaly_maps import MapSettings
from harness.datasets import training_images
from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors.meds import MeDS
from harness.detectors.memory_detector import MemoryDetector
from harness.detectors.reconstruction import ReconstructionDetector
from harness.features.encoder import Encoder
from harness.images import MaskRule
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.training.optimizer import TrainingConfig
from harness.training.phases import ProgressiveSelection

BANKS = 100
"""Number of memory banks in the ensemble."""
STEPS = 10_000
"""Number of training steps of Dinomaly and of each stage of MeDS; also of each stage on INP-Former in the release."""
EPOCHS = 200
"""Number of epochs of INP-Former in its authors' training, and of HVQ-Trans in the paper's."""
STAGE_EPOCHS = 100
"""Number of epochs of each stage of MeDS on INP-Former in the paper (appendix B.2)."""
MVTEC_AD = training_images(MVTecAD())
"""Number of training images of MVTec AD without contamination."""
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
    maps: MapSettings | None = None
    """Settings for the maps and image scores of both; None for those of Dinomaly."""


@dataclass(frozen=True, kw_only=True)
class MemoryPreset:
    """The memory ensemble alone, with the settings of `harness.evaluation.Evaluation` that score it."""

    detector: MemoryDetector
    encoder: Encoder
    maps: MapSettings
    mask_rule: MaskRule


def paper(network: Dinomaly | InpFormer, *, images: int = MVTEC_AD) -> MeDS:
    """Return MeDS as the paper describes it.

    Distances between unit features are Euclidean. The distillation loss is an unsquared norm per image. An image score
    is the mean over 1 % of the patches, rounded up. The critical value is k = 1. A stage on INP-Former has 100 epochs,
    counted over all training images: on MVTec AD 22,600 steps, and 29,900 at 40 % noise. A stage on Dinomaly has 10,000
    steps.

    Args:
        network: Network, whose distance and discard rate are replaced by those of the paper.
        images: Number of training images without contamination.
    """
    training = _training(network)
    if isinstance(network, InpFormer):
        training = training.for_epochs(STAGE_EPOCHS, images)
    return MeDS(
        network=replace(_gentle(network), distance="euclidean"),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True, distance="euclidean"),
        distillation=training,
        finetuning=training,
        discrepancy="l2norm",
        selection=ProgressiveSelection(critical_value=1.0),
    )


def release(network: Dinomaly | InpFormer) -> MeDS:
    """Return MeDS as the command-line defaults of its release run it.

    Distances are cosine distances. The distillation loss is ten times the mean squared error. An image score is the
    mean over 1 % of the patches, rounded down. The critical value is k = 3. A stage has 10,000 steps on either network.

    The shell scripts of the release set other values for INP-Former, see `release_scripts`. Where the scores of a
    category have no spread, the release keeps the images below the median. In 214 of 243 such cases there were none, so
    its training never ends. Ours keeps the lower half, see `harness.selection.select`. The release rounds cosines to
    five decimals, ours does not.
    """
    return MeDS(
        network=_gentle(network),
        memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True),
        distillation=_training(network),
        finetuning=_training(network),
        selection=ProgressiveSelection(critical_value=3.0, rounding="down"),
    )


def release_scripts(network: InpFormer) -> MeDS:
    """Return MeDS on INP-Former as the shell scripts of its release run it: an l1 loss, and k = 1.

    The scripts for Dinomaly set the default loss, and every k of Fig. 6.
    """
    preset = release(network)
    selection = replace(preset.selection, critical_value=1.0)
    return replace(preset, discrepancy="l1", selection=selection)


def release_memory(ratio: float = 0.1) -> MemoryPreset:
    """Return the memory ensemble alone as the release scores test images with it.

    The banks have a tenth of the images at every ratio. The ratio decides the image score instead: the mean of this
    share of the map's highest pixels. Patch scores are resized to 256 pixels directly, with aligned pixel centres. The
    paper describes banks of the ratio, and image scores over 1 %. The release rounds cosines to five decimals, ours
    does not.

    Args:
        ratio: Subsampling ratio rho in (0, 1].
    """
    return MemoryPreset(
        detector=MemoryDetector(memory=MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True)),
        encoder=DINOV2,
        maps=MapSettings(upsampling="direct", top_percent=100 * ratio),
        mask_rule="dinomaly",
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
    """Return the preset of INP-Former for `images` training images without contamination.

    The network alone has the 200 epochs of its authors (in the release of MeDS: 10,000 steps). MeDS has 100 per stage.
    """
    network = InpFormer()
    training = _training(network).for_epochs(EPOCHS, images)
    return NetworkPreset(
        plain=ReconstructionDetector(network=network, training=training),
        meds=paper(network, images=images),
        encoder=DINOV2,
    )


def hvq(images: int) -> NetworkPreset:
    """Return the preset of HVQ-Trans for `images` training images without contamination.

    Both MeDS stages use the training length of HVQ-Trans, because MeDS has no released configuration for it. The
    distillation loss is the norm of the paper, as for the other networks. Both rows are scored as by the network's
    authors: a map without blur, and its highest mean over 16 x 16 pixels.

    Three details differ from the authors' code. Maps have 256 pixels instead of 224, like those of the other networks.
    The four stages of the encoder are averaged to one grid and scaled to unit length, so each has a quarter of the
    error. The authors interpolate them with aligned corners and leave their lengths: the shares are .45, .26, .12, .17.
    The network works on features of size 1, theirs on the raw values. `Encoder(finer="resized")` with
    `Hvq(feature_scale="raw")` has their features.
    """
    training = TrainingConfig(
        learning_rate=1e-4,
        final_learning_rate=1e-5,
        optimizer="adamw",
        schedule="step",
    )
    training = training.for_epochs(EPOCHS, images)
    memory = MemoryEnsemble(ratio=0.1, size=BANKS, replacement=True, distance="euclidean")
    meds = MeDS(
        network=Hvq(),
        memory=memory,
        distillation=training,
        finetuning=training,
        discrepancy="l2norm",
    )
    return NetworkPreset(
        plain=ReconstructionDetector(network=Hvq(), training=training),
        meds=meds,
        encoder=EFFICIENTNET_B4,
        maps=MapSettings(radius=0, image="window"),
    )
