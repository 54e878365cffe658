"""Profiles with the papers' encoders, training lengths and noise ratios; they need GPUs and download weights once."""

from __future__ import annotations

from dataclasses import replace

from baselines import presets as releases
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.presets import MethodPreset
from baselines.softpatch import SoftPatch
from harness.datasets import training_images
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.datasets.real_iad import RealIAD
from harness.datasets.visa import VisA
from harness.detectors import presets
from harness.training.optimizer import TrainingConfig
from sweeps.profiles.contract import Profile

_DINOMALY = presets.dinomaly()
_POOLED = (releases.softpatch(scope="all"), releases.inreach(), releases.fun_ad(scope="all"))
"""Baselines with one memory or network for all categories, if the method supports it (Tables 1 and 2)."""
_PAPER_RHOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def _systems(images: int, *, clean_validation: bool = False) -> tuple[MethodPreset, ...]:
    """Return reverse distillation, UniAD, EfficientAD-M and AD2 for this number of training images."""
    return (
        releases.reverse_distillation(images=images),
        releases.uniad(images=images),
        releases.efficient_ad(clean_validation=clean_validation),
        releases.ad2(clean_validation=clean_validation),
    )


MVTEC_AD = Profile(
    name="mvtec_ad",
    dataset=MVTecAD(),
    encoder=_DINOMALY.encoder,
    plain=_DINOMALY.plain,
    meds=_DINOMALY.meds,
    others=(
        presets.inp_former(training_images(MVTecAD())),
        presets.hvq(training_images(MVTecAD())),
    ),
    released=_POOLED,
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=_PAPER_RHOS,
    meds_rhos=_PAPER_RHOS,
    baselines=(InReaCh(), PatchCore(), SoftPatch(), FunAD()),
    systems=_systems(training_images(MVTecAD())),
)
VISA = replace(
    MVTEC_AD,
    name="visa",
    dataset=VisA(),
    others=(presets.inp_former(training_images(VisA())), presets.hvq(training_images(VisA()))),
    noise_ratios=(0.0, 0.02, 0.05, 0.1),
    systems=_systems(training_images(VisA())),
)
LOCO = replace(
    MVTEC_AD,
    name="loco",
    dataset=MVTecLOCO(),
    others=(),
    released=(releases.patchcore(), releases.softpatch(), releases.inreach()),
    noise_ratios=(0.0, 0.1, 0.2, 0.3, 0.4),
    systems=_systems(training_images(MVTecLOCO()), clean_validation=True),
)
_SINGLE = TrainingConfig(steps=2500)
_SINGLE_SYSTEMS = _systems(training_images(RealIAD()) // len(RealIAD().expected))
_SINGLE_RD, _SINGLE_UNIAD, *_ = _SINGLE_SYSTEMS
REAL_IAD = replace(
    MVTEC_AD,
    name="real_iad",
    dataset=RealIAD(),
    plain=replace(_DINOMALY.plain, training=TrainingConfig(steps=5000)),
    meds=replace(
        _DINOMALY.meds,
        memory=replace(_DINOMALY.meds.memory, replacement=False),
        distillation=_SINGLE,
        finetuning=_SINGLE,
    ),
    others=(),
    systems=_SINGLE_SYSTEMS,
    released=(releases.patchcore(), _SINGLE_RD, _SINGLE_UNIAD, releases.softpatch()),
    several_categories=False,
    apart=True,
)
