"""Presets that follow the baselines as their authors released them: encoder, detector and evaluation.

The defaults of the detectors correct mistakes of the released code. The presets restore the released behaviour where
results depend on it. Not followed are:

* Images are resized to a square here; PatchCore and SoftPatch keep the aspect ratio.
* InReaCh's release passes colours in the order blue, green, red, and lists clean images first. Its mean is .456, .406,
  .485 for blue, green, red, which is a wrong order, and so are its deviations. It resizes without antialiasing
  (cv2, linear). Resizing alone moves a patch by 4.0 where the nearest other patch is 2.1 away. With mean and
  deviation, the patch moves by 12.0.
* A pixel of a resized mask is defective here by the rule `half` of `Evaluation.mask_rule`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from baselines.ad2 import AD2
from baselines.anomaly_dino import AnomalyDino
from baselines.comet import CoMet
from baselines.efficient_ad import EfficientAD
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.llbnad import Llbnad
from baselines.musc import MuSc
from baselines.patch_bank.pool import Scope
from baselines.patchcore import PatchCore
from baselines.rad import RAD
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from baselines.subspace_ad import SubspaceAD
from baselines.uniad import UniAD, UniADTransformer
from harness.datasets import training_images
from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors import Detector
from harness.detectors.presets import DINOV2
from harness.evaluation import Evaluation
from harness.features.encoder import Encoder
from harness.features.patch_features import ConcatenatedLayers, LocallyAware, WithClassToken

MVTEC_AD = training_images(MVTecAD())
WIDE_RESNET = "wide_resnet50_2.tv_in1k"
INREACH_MODULES = (
    *(f"layer1.{i}" for i in range(3)),
    *(f"layer2.{i}" for i in range(4)),
    *(f"layer3.{i}" for i in range(1, 6)),
    "layer4.0",
)


@dataclass(frozen=True, kw_only=True)
class MethodPreset:
    """Encoder, detector and evaluation of an experiment that follows a release."""

    encoder: Encoder
    detector: Detector
    evaluation: Evaluation


def patchcore(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of PatchCore, which scores squared distances."""
    return MethodPreset(
        encoder=_wide_resnet(weights, LocallyAware()),
        detector=PatchCore(squared=True),
        evaluation=Evaluation(size=224),
    )


def softpatch(*, weights: str = "hub", scope: Scope = "category") -> MethodPreset:
    """Return the preset of SoftPatch.

    The release uses 5 neighbours, because it ignores its own option. Its weights have no limit, and the coreset's first
    pick may be an outlier.
    """
    return MethodPreset(
        encoder=_wide_resnet(weights, LocallyAware()),
        detector=SoftPatch(lof_k=5, max_weight=None, fix_first_pick=False, scope=scope),
        evaluation=Evaluation(size=224),
    )


def inreach(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of InReaCh.

    The first images are the seeds, and the columns of the associations are swapped. The release's test decides whether
    positions are part of a patch.
    """
    encoder = _wide_resnet(weights, LocallyAware(modules=INREACH_MODULES), pixels=True)
    return MethodPreset(
        encoder=encoder,
        detector=InReaCh(shuffle=False, compat_index_swap=True, positional="auto"),
        evaluation=Evaluation(size=224),
    )


def fun_ad(*, weights: str = "hub", scope: Scope = "category") -> MethodPreset:
    """Return the preset of FUN-AD.

    The features are class token and patch of DINO's ViT-B/8, and smoothness is measured after the noise. Unlike in the
    release, the last epoch is evaluated, not the best epoch on the test set.
    """
    encoder = Encoder(
        name="vit_base_patch8_224.dino",
        weights=weights,
        image_size=256,
        crop_size=224,
        groups=((11,),),
        memory=WithClassToken(),
    )
    return MethodPreset(
        encoder=encoder,
        detector=FunAD(ms_on_noised=True, scope=scope),
        evaluation=Evaluation(size=224),
    )


def musc(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of MuSc, which compares test images with each other, every layer separately."""
    encoder = Encoder(
        name="vit_large_patch14_clip_336.openai",
        weights=weights,
        image_size=518,
        groups=((5,), (11,), (17,), (23,)),
    )
    return MethodPreset(
        encoder=encoder, detector=MuSc(layers="separate"), evaluation=Evaluation(size=518)
    )


def anomaly_dino(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of AnomalyDINO with all training images, without masks and rotated copies."""
    encoder = Encoder(
        name="vit_small_patch14_dinov2.lvd142m",
        weights=weights,
        image_size=448,
        groups=((11,),),
        positions="dinov2",
    )
    return MethodPreset(encoder=encoder, detector=AnomalyDino(), evaluation=Evaluation(size=448))


def rad(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of RAD, with a memory per category and layers without the final LayerNorm."""
    encoder = Encoder(
        name="vit_base_patch16_dinov3.lvd1689m",
        weights=weights,
        image_size=512,
        crop_size=448,
        groups=((3,), (6,), (9,), (11,)),
    )
    return MethodPreset(encoder=encoder, detector=RAD(), evaluation=Evaluation())


def subspace_ad(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of SubspaceAD with all training images; patches are scaled to unit length here."""
    encoder = Encoder(
        name="vit_giant_patch14_reg4_dinov2.lvd142m",
        weights=weights,
        image_size=672,
        groups=(tuple(range(22, 29)),),
        positions="dinov2",
        memory=ConcatenatedLayers(),
    )
    return MethodPreset(encoder=encoder, detector=SubspaceAD(), evaluation=Evaluation(size=672))


def reverse_distillation(*, weights: str = "hub", images: int = MVTEC_AD) -> MethodPreset:
    """Return the preset of reverse distillation, for `images` training images.

    The targets are three stages of a wide ResNet, each on its own grid and unscaled. Training takes 200 epochs.
    """
    encoder = Encoder(
        name=WIDE_RESNET,
        weights=weights,
        image_size=256,
        groups=((1,), (2,), (3,)),
        finer="folded",
    )
    method, student = ReverseDistillation(), ReverseStudent(scales=(4, 2, 1), scale_deepest=False)
    return MethodPreset(
        encoder=encoder,
        detector=replace(method, network=student, training=method.training.for_epochs(200, images)),
        evaluation=Evaluation(size=256),
    )


def uniad(*, weights: str = "hub", images: int = MVTEC_AD) -> MethodPreset:
    """Return the preset of UniAD, for `images` training images.

    The features are four stages of an EfficientNet-B4, unscaled and resized without averaging. Its weights may differ
    from the release's weights of the same name. Training takes 1,000 epochs.
    """
    method, network = UniAD(), UniADTransformer(feature_scale="raw")
    encoder = Encoder(
        name="tf_efficientnet_b4.aa_in1k",
        weights=weights,
        image_size=224,
        groups=((0,), (1,), (2,), (3,)),
        finer="resized",
    )
    training = method.training.for_epochs(1000, images)
    detector = replace(method, network=network, training=training)
    return MethodPreset(encoder=encoder, detector=detector, evaluation=Evaluation(size=224))


def llbnad(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of LLBNAD on Dinomaly, whose filter keeps the images that it scores lowest."""
    encoder = replace(DINOV2, weights=weights, image_size=392, crop_size=None)
    return MethodPreset(encoder=encoder, detector=Llbnad(), evaluation=Evaluation(size=392))


def comet(*, weights: str = "hub") -> MethodPreset:
    """Return the preset of CoMet on Dinomaly with Dinomaly's encoder, since its release has SimpleNet alone."""
    encoder = replace(DINOV2, weights=weights)
    return MethodPreset(encoder=encoder, detector=CoMet(), evaluation=Evaluation())


def efficient_ad(*, clean_validation: bool = False) -> MethodPreset:
    """Return the preset of EfficientAD-M, which uses the pixels of images alone.

    With `clean_validation`, the split `validation` calibrates the maps, as in the release on MVTec LOCO.
    """
    return MethodPreset(
        encoder=Encoder(pixels=True),
        detector=EfficientAD(clean_validation=clean_validation),
        evaluation=Evaluation(size=256),
    )


def ad2(*, clean_validation: bool = False) -> MethodPreset:
    """Return the preset of AD2 as described in its paper, since AD2 has no release.

    The paper follows EfficientAD in all other settings, so also in `clean_validation`.
    """
    detector = AD2()
    student = replace(detector.student, clean_validation=clean_validation)
    return replace(efficient_ad(), detector=replace(detector, student=student))


def _wide_resnet(weights: str, memory: LocallyAware, *, pixels: bool = False) -> Encoder:
    return Encoder(
        name=WIDE_RESNET,
        weights=weights,
        image_size=256,
        crop_size=224,
        groups=((2,), (3,)),
        memory=memory,
        pixels=pixels,
    )
