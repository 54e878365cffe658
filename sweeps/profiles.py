"""All profiles, and those of our own: `laptop`, `smoke` and `mtd`; see `sweeps.paper_profiles` for the others."""

from __future__ import annotations

from dataclasses import replace

from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.textures import Textures
from harness.detectors import PlainNetwork
from harness.encoders import Encoder
from harness.meds import MeDS
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.optimizer import Training
from harness.presets import Pair
from sweeps.paper_profiles import MVTEC_AD, REAL_IAD, VISA
from sweeps.profile import Profile

_FUN_AD = FunAD(
    epochs=20,
    batch_size=16,
    learning_rate=2e-4,
    bank_refresh="epoch",
    equal=1e-4,
    bank_patches=4096,
)
_SMALL = Dinomaly(width=64, depth=2, heads=2, ramp_steps=100)

LAPTOP = Profile(
    name="laptop",
    dataset=Textures(),
    encoder=Encoder(),
    plain=PlainNetwork(network=_SMALL, training=Training(steps=225)),
    meds=MeDS(
        network=replace(_SMALL, discard=0.5),
        distillation=Training(steps=75),
        finetuning=Training(steps=150),
    ),
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    meds_rhos=(0.05, 0.2, 1.0),
    fun_ad=_FUN_AD,
    self_made=True,
)

_TINY = Dinomaly(width=16, depth=2, heads=2, ramp_steps=5)
_TINY_INP = InpFormer(width=16, depth=2, heads=2, prototypes=3)
_TINY_HVQ = Hvq(width=16, depth=1, heads=2, hidden=32, codes=16)
_BRIEF = Training(steps=10)
_SMOKE = Encoder(image_size=128)

SMOKE = Profile(
    name="smoke",
    dataset=Textures(train=12, good=6, defective=10),
    encoder=_SMOKE,
    plain=PlainNetwork(network=_TINY, training=Training(steps=20)),
    meds=MeDS(
        network=replace(_TINY, discard=0.5),
        distillation=_BRIEF,
        finetuning=_BRIEF,
    ),
    noise_ratios=(0.0, 0.4),
    rhos=(0.1, 0.5, 1.0),
    meds_rhos=(0.5,),
    others=(
        Pair(
            plain=PlainNetwork(network=_TINY_INP, training=Training(steps=20)),
            meds=MeDS(network=_TINY_INP, distillation=_BRIEF, finetuning=_BRIEF),
            encoder=_SMOKE,
        ),
        Pair(
            plain=PlainNetwork(network=_TINY_HVQ, training=Training(steps=20)),
            meds=MeDS(
                network=_TINY_HVQ,
                memory=MemoryEnsemble(distance="euclidean"),
                distillation=_BRIEF,
                finetuning=_BRIEF,
            ),
            encoder=_SMOKE,
        ),
    ),
    inreach=InReaCh(min_channel_length=1, std_factor=None),
    fun_ad=FunAD(epochs=4, batch_size=8, learning_rate=2e-4, equal=1e-4),
    self_made=True,
)

_LONG = replace(_SMALL, ramp_steps=1000)

MTD = Profile(
    name="mtd",
    dataset=MagneticTile(),
    encoder=Encoder(),
    plain=PlainNetwork(network=_LONG, training=Training(steps=2000)),
    meds=MeDS(
        network=replace(_LONG, discard=0.5),
        distillation=Training(steps=500),
        finetuning=Training(steps=1500),
    ),
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    meds_rhos=(0.1,),
    fun_ad=replace(_FUN_AD, snapshots=5),
    several_categories=False,
)

PROFILES = {profile.name: profile for profile in (LAPTOP, SMOKE, MTD, MVTEC_AD, VISA, REAL_IAD)}
