"""Profiles with encoder, lengths, noise ratios and setting of the papers: they want GPUs, and download weights once."""

from __future__ import annotations

from dataclasses import replace

from baselines import presets as releases
from baselines.fun_ad import FunAD
from harness import presets
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.real_iad import RealIAD
from harness.datasets.visa import VisA
from harness.optimizer import Training
from sweeps.profile import Profile

_DINOMALY = presets.dinomaly()
_POOLED = (releases.softpatch(scope="all"), releases.inreach(), releases.fun_ad(scope="all"))
"""One memory or network for all categories, where the method can (Tables 1 and 2)."""
_PAPER_RHOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

MVTEC_AD = Profile(
    name="mvtec_ad",
    dataset=MVTecAD(),
    encoder=_DINOMALY.encoder,
    plain=_DINOMALY.plain,
    meds=_DINOMALY.meds,
    others=(presets.inp_former(3629), presets.hvq(3629)),
    released=_POOLED,
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=_PAPER_RHOS,
    meds_rhos=_PAPER_RHOS,
    fun_ad=FunAD(),
)
VISA = replace(
    MVTEC_AD,
    name="visa",
    dataset=VisA(),
    others=(presets.inp_former(8659), presets.hvq(8659)),
    noise_ratios=(0.0, 0.02, 0.05, 0.1),
)
_SINGLE = Training(steps=2500)
REAL_IAD = replace(
    MVTEC_AD,
    name="real_iad",
    dataset=RealIAD(),
    plain=replace(_DINOMALY.plain, training=Training(steps=5000)),
    meds=replace(
        _DINOMALY.meds,
        memory=replace(_DINOMALY.meds.memory, replacement=False),
        distillation=_SINGLE,
        finetuning=_SINGLE,
    ),
    others=(),
    released=(releases.patchcore(), releases.softpatch()),
    several_categories=False,
    apart=True,
)
