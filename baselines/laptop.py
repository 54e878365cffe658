"""Settings of the baselines for the shipped encoder and a laptop without a GPU: small networks and few steps."""

from __future__ import annotations

from dataclasses import replace

from baselines.ad2 import AD2
from baselines.anomaly_dino import AnomalyDino
from baselines.comet import CoMet
from baselines.efficient_ad import EfficientAD
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.llbnad import Llbnad
from baselines.musc import MuSc
from baselines.patchcore import PatchCore
from baselines.presets import MethodPreset
from baselines.rad import RAD
from baselines.reverse_distillation import ReverseDistillation
from baselines.softpatch import SoftPatch
from baselines.subspace_ad import SubspaceAD
from baselines.uniad import UniAD, UniADTransformer
from harness.detectors.laptop import PLAIN
from harness.detectors.reconstruction import ReconstructionDetector
from harness.evaluation import Evaluation
from harness.features.encoder import Encoder
from harness.features.patch_features import LocallyAware
from harness.features.teacher import Teacher
from harness.training.optimizer import TrainingConfig

FUN_AD = FunAD(
    epochs=20,
    batch_size=16,
    learning_rate=2e-4,
    bank_refresh="epoch",
    equal=1e-4,
    bank_patches=4096,
)
TEACHER = Teacher(
    encoder=Encoder(memory=LocallyAware(modules=("blocks.2", "blocks.4"), dimensions=64)),
    width=16,
    image_size=96,
    steps=500,
    batch_size=8,
    learning_rate=1e-3,
)
STUDENT = EfficientAD(
    teacher=TEACHER, image_size=96, width=16, steps=1000, batch_size=4, learning_rate=1e-3
)
REVERSE = ReverseDistillation(training=replace(ReverseDistillation().training, steps=250))
UNIAD = UniAD(
    network=UniADTransformer(width=64, depth=2, heads=2, hidden=128),
    training=replace(UniAD().training, steps=300, learning_rate=1e-3, final_learning_rate=1e-4),
)
_FEATURES = MethodPreset(encoder=Encoder(), detector=REVERSE, evaluation=Evaluation())
_PIXELS = MethodPreset(
    encoder=Encoder(image_size=96, pixels=True), detector=STUDENT, evaluation=Evaluation()
)
SYSTEMS = (
    _FEATURES,
    replace(_FEATURES, detector=UNIAD),
    _PIXELS,
    replace(_PIXELS, detector=AD2(student=STUDENT)),
)
"""Systems of the papers, small and with few training steps, on the shipped encoder's features or on small images."""


def schemes(plain: ReconstructionDetector) -> tuple[MethodPreset, MethodPreset]:
    """Return LLBNAD and CoMet around a plain network, each trained for as many steps in total as this network.

    LLBNAD spends half of its steps on the sub-models, and the rest on the final model.
    """
    subsets, steps = Llbnad().subsets, plain.training.steps
    screening = TrainingConfig(steps=steps // (2 * subsets))
    final = TrainingConfig(steps=steps - subsets * screening.steps)
    llbnad = Llbnad(network=plain.network, subsets=subsets, screening=screening, training=final)
    comet = CoMet(network=plain.network, training=plain.training)
    return replace(_FEATURES, detector=llbnad), replace(_FEATURES, detector=comet)


RIVALS = (
    MuSc(),
    MuSc(images="training"),
    MuSc(images="both"),
    AnomalyDino(),
    RAD(),
    SubspaceAD(),
)
"""Later methods that train nothing, on the shipped encoder's features; see `docs/rivals.md`."""
METHODS = (
    *(replace(_FEATURES, detector=each) for each in (InReaCh(), PatchCore(), SoftPatch(), FUN_AD)),
    *SYSTEMS,
    *schemes(PLAIN),
    replace(_FEATURES, detector=MuSc(images="training")),
)
"""All baselines, each with its encoder; MuSc in the setting that can score a single image."""
