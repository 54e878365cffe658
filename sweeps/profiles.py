"""Profiles: what a study runs on and how long it trains. A study varies one axis of a profile.

`laptop`, `smoke` and `mtd` are ours; `mvtec_ad`, `visa` and `real_iad` have the encoder, lengths, noise ratios and
setting of the paper of MeDS, want GPUs, and download weights once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from baselines import presets as releases
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.presets import Released
from harness import presets
from harness.datasets import Dataset
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.real_iad import RealIAD
from harness.datasets.textures import Textures
from harness.datasets.visa import VisA
from harness.detectors import Detector, PlainNetwork
from harness.encoders import Encoder
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.meds import MeDS
from harness.memory import MemoryEnsemble
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.noise import Noise
from harness.optimizer import Training
from harness.presets import Pair


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A dataset with an encoder, a network, training lengths, and the values that studies use as axes."""

    name: str
    dataset: Dataset
    encoder: Encoder
    plain: PlainNetwork
    """The network as its authors train it; in our own profiles as many steps as MeDS has in its two stages."""
    meds: MeDS
    """MeDS on the same network."""
    noise_ratios: tuple[float, ...]
    noise: Noise = Noise()
    """Protocol and seed of the contamination; a study sets the ratio."""
    rhos: tuple[float, ...]
    """Subsampling ratios of the memory ensemble."""
    meds_rhos: tuple[float, ...]
    """Subsampling ratios at which MeDS is trained, too."""
    others: tuple[Pair, ...] = ()
    """Further networks of the main table."""
    released: tuple[Released, ...] | None = None
    """Baselines of the main table with their authors' encoders; None for all, on the profile's features."""
    inreach: InReaCh = InReaCh()
    """InReaCh with channels that so many images can have."""
    fun_ad: FunAD
    """FUN-AD, in our own profiles shorter and faster than published: its bank is smaller and made once an epoch, its
    rate is ten times as high."""
    several_categories: bool = True
    """Whether the dataset has more than one."""
    apart: bool = False
    """Whether every category is an experiment of its own (single-class), with a network of its own."""
    self_made: bool = False
    """Whether the dataset is made by this software, so that no data root is needed."""

    def cells(self, experiments: Sequence[Experiment]) -> list[Experiment]:
        """The experiments of a study as this profile runs them: one for all categories, or one for each."""
        if not self.apart:
            return list(experiments)
        return [
            replace(experiment, categories=(name,))
            for experiment in experiments
            for name in experiment.categories or self.categories
        ]

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that it has."""
        chosen: tuple[str, ...] | None = getattr(self.dataset, "categories", None)
        return chosen or tuple(self.dataset.expected)

    def experiment(
        self,
        detector: Detector,
        ratio: float,
        *,
        seed: int = 0,
        evaluation: Evaluation = Evaluation(),
    ) -> Experiment:
        """A cell of a study: a detector on this profile's data at a noise ratio."""
        return Experiment(
            dataset=self.dataset,
            encoder=self.encoder,
            detector=detector,
            noise=replace(self.noise, ratio=ratio),
            seed=seed,
            evaluation=evaluation,
        )


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

PROFILES = {profile.name: profile for profile in (LAPTOP, SMOKE, MTD, MVTEC_AD, VISA, REAL_IAD)}
