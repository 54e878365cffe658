"""Our own profiles `laptop`, `smoke`, `folder` and `mtd`, and the table of all profiles (`sweeps.profiles.paper`)."""

from __future__ import annotations

from dataclasses import replace

from baselines.ad2 import AD2
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.laptop import (
    FUN_AD,
    REVERSE,
    RIVALS,
    STUDENT,
    SYSTEMS,
    TEACHER,
    UNIAD,
    schemes,
)
from baselines.patchcore import PatchCore
from baselines.presets import MethodPreset
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from harness.datasets.folder import Folder
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.textures import Textures
from harness.detectors import ReconstructionDetector
from harness.detectors.laptop import MEDS, NETWORK, PLAIN, TUNED
from harness.detectors.meds import MeDS
from harness.detectors.presets import NetworkPreset
from harness.evaluation import Evaluation
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.training.optimizer import TrainingConfig
from sweeps.profiles.contract import Profile
from sweeps.profiles.paper import LOCO, MVTEC_AD, REAL_IAD, VISA

_SMALL = replace(NETWORK, ramp_steps=100)
_PLAIN = ReconstructionDetector(network=_SMALL, training=TrainingConfig(steps=225))

LAPTOP = Profile(
    name="laptop",
    dataset=Textures(),
    encoder=Encoder(),
    plain=_PLAIN,
    meds=MeDS(
        network=replace(_SMALL, discard=0.5),
        distillation=TrainingConfig(steps=75),
        finetuning=TrainingConfig(steps=150),
    ),
    tuned=replace(
        TUNED, network=replace(_SMALL, discard=0.5), distillation=TrainingConfig(steps=75)
    ),
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    meds_rhos=(0.05, 0.2, 1.0),
    baselines=(InReaCh(), PatchCore(), SoftPatch(), FUN_AD),
    systems=(*SYSTEMS, *schemes(_PLAIN)),
    rivals=RIVALS,
    generated=True,
)

_TINY = Dinomaly(width=16, depth=2, heads=2, ramp_steps=5)
_TINY_INP = InpFormer(width=16, depth=2, heads=2, prototypes=3)
_TINY_HVQ = Hvq(width=16, depth=1, heads=2, hidden=32, codes=16)
_BRIEF = TrainingConfig(steps=10)
_SMOKE = Encoder(image_size=128)
_SMOKE_FEATURES = MethodPreset(
    encoder=_SMOKE,
    detector=ReverseDistillation(
        network=ReverseStudent(bottleneck=1, stages=(1, 1)),
        training=replace(REVERSE.training, steps=10),
    ),
    evaluation=Evaluation(),
)
_SMOKE_STUDENT = replace(
    STUDENT, teacher=replace(TEACHER, steps=10), image_size=64, width=8, steps=10
)
_SMOKE_PIXELS = MethodPreset(
    encoder=replace(_SMOKE, pixels=True), detector=_SMOKE_STUDENT, evaluation=Evaluation()
)

SMOKE = Profile(
    name="smoke",
    dataset=Textures(train=12, good=6, defective=10),
    encoder=_SMOKE,
    plain=ReconstructionDetector(network=_TINY, training=TrainingConfig(steps=20)),
    meds=MeDS(
        network=replace(_TINY, discard=0.5),
        distillation=_BRIEF,
        finetuning=_BRIEF,
    ),
    tuned=replace(TUNED, network=replace(_TINY, discard=0.5), distillation=_BRIEF),
    noise_ratios=(0.0, 0.4),
    rhos=(0.1, 0.5, 1.0),
    meds_rhos=(0.5,),
    others=(
        NetworkPreset(
            plain=ReconstructionDetector(network=_TINY_INP, training=TrainingConfig(steps=20)),
            meds=MeDS(network=_TINY_INP, distillation=_BRIEF, finetuning=_BRIEF),
            encoder=_SMOKE,
        ),
        NetworkPreset(
            plain=ReconstructionDetector(network=_TINY_HVQ, training=TrainingConfig(steps=20)),
            meds=MeDS(
                network=_TINY_HVQ,
                memory=MemoryEnsemble(distance="euclidean"),
                distillation=_BRIEF,
                finetuning=_BRIEF,
            ),
            encoder=_SMOKE,
        ),
    ),
    baselines=(
        InReaCh(min_channel_length=1, std_factor=None),
        PatchCore(),
        SoftPatch(),
        FunAD(epochs=4, batch_size=8, learning_rate=2e-4, equal=1e-4),
    ),
    systems=(
        _SMOKE_FEATURES,
        replace(
            _SMOKE_FEATURES, detector=replace(UNIAD, training=replace(UNIAD.training, steps=10))
        ),
        _SMOKE_PIXELS,
        replace(_SMOKE_PIXELS, detector=AD2(student=_SMOKE_STUDENT)),
    ),
    generated=True,
)

MTD = Profile(
    name="mtd",
    dataset=MagneticTile(),
    encoder=Encoder(),
    plain=PLAIN,
    meds=MEDS,
    tuned=TUNED,
    noise_ratios=(0.0, 0.1, 0.2, 0.4),
    rhos=(0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    meds_rhos=(0.1,),
    baselines=(InReaCh(), PatchCore(), SoftPatch(), replace(FUN_AD, snapshots=5)),
    systems=(*SYSTEMS, *schemes(PLAIN)),
    rivals=RIVALS,
    several_categories=False,
)

FOLDER = replace(
    LAPTOP,
    name="folder",
    dataset=Folder(),
    plain=MTD.plain,
    meds=MTD.meds,
    tuned=MTD.tuned,
    systems=MTD.systems,
    several_categories=False,
    generated=False,
)
"""Profile for a user's own images, with the training lengths of `mtd`: those of `laptop` are too short for MeDS."""

PROFILES = {
    profile.name: profile
    for profile in (LAPTOP, SMOKE, FOLDER, MTD, MVTEC_AD, VISA, REAL_IAD, LOCO)
}
