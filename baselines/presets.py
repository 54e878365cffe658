"""The baselines as their authors released them: encoder, detector and evaluation.

The detectors' own defaults are the fixed ones; here is what the released code does instead, where results depend on it.
Not followed: images are resized to a square (PatchCore and SoftPatch keep the aspect ratio); InReaCh hands colours over
as blue, green, red and has clean images first; a mask's pixel is defective if more than half of it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.patch_bank.pool import Scope
from baselines.patchcore import PatchCore
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from baselines.uniad import UniAD
from harness.datasets import training_images
from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors import Detector
from harness.evaluation import Evaluation
from harness.features.encoder import Encoder
from harness.features.patch_features import LocallyAware, WithClassToken
from harness.training.optimizer import TrainingConfig

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
    """What an experiment needs to follow a release."""

    encoder: Encoder
    detector: Detector
    evaluation: Evaluation


def patchcore(*, weights: str = "hub") -> MethodPreset:
    """PatchCore: squared distances."""
    return MethodPreset(
        encoder=_wide_resnet(weights, LocallyAware()),
        detector=PatchCore(squared=True),
        evaluation=Evaluation(size=224),
    )


def softpatch(*, weights: str = "hub", scope: Scope = "category") -> MethodPreset:
    """SoftPatch: 5 neighbours, as its option does not arrive; no limit to weights; an odd patch may be picked first."""
    return MethodPreset(
        encoder=_wide_resnet(weights, LocallyAware()),
        detector=SoftPatch(lof_k=5, max_weight=None, fix_first_pick=False, scope=scope),
        evaluation=Evaluation(size=224),
    )


def inreach(*, weights: str = "hub") -> MethodPreset:
    """InReaCh: the first images are the seeds, columns of associations are swapped, places matter by its test."""
    encoder = _wide_resnet(weights, LocallyAware(modules=INREACH_MODULES), pixels=True)
    return MethodPreset(
        encoder=encoder,
        detector=InReaCh(shuffle=False, compat_index_swap=True, positional="auto"),
        evaluation=Evaluation(size=224),
    )


def fun_ad(*, weights: str = "hub", scope: Scope = "category") -> MethodPreset:
    """FUN-AD: class token and patch of DINO's ViT-B/8, smoothness after the noise; the last epoch, not test's best."""
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


def reverse_distillation(*, weights: str = "hub", images: int = MVTEC_AD) -> MethodPreset:
    """Reverse distillation: three stages of a wide ResNet, each on its own grid; 200 passes over so many images."""
    encoder = Encoder(
        name=WIDE_RESNET,
        weights=weights,
        image_size=256,
        groups=((1,), (2,), (3,)),
        finer="folded",
    )
    method, student = ReverseDistillation(), ReverseStudent(scales=(4, 2, 1))
    return MethodPreset(
        encoder=encoder,
        detector=replace(method, network=student, training=_passes(method.training, 200, images)),
        evaluation=Evaluation(size=256),
    )


def uniad(*, weights: str = "hub", images: int = MVTEC_AD) -> MethodPreset:
    """UniAD: four stages of an EfficientNet-B4, whose weights may be others than the release's of the same name.

    1,000 passes over so many training images.
    """
    method = UniAD()
    encoder = Encoder(
        name="tf_efficientnet_b4.aa_in1k",
        weights=weights,
        image_size=224,
        groups=((0,), (1,), (2,), (3,)),
    )
    detector = replace(method, training=_passes(method.training, 1000, images))
    return MethodPreset(encoder=encoder, detector=detector, evaluation=Evaluation(size=224))


def efficient_ad() -> MethodPreset:
    """EfficientAD-M, from pixels; the features of the encoder beside them are not used."""
    return MethodPreset(
        encoder=Encoder(pixels=True), detector=EfficientAD(), evaluation=Evaluation(size=256)
    )


def ad2() -> MethodPreset:
    """AD2 as its paper describes it; it has no release."""
    return replace(efficient_ad(), detector=AD2())


def _passes(training: TrainingConfig, passes: int, images: int) -> TrainingConfig:
    """So many passes over the training images, without the remainders."""
    return replace(training, steps=passes * (images // training.batch_size))


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
