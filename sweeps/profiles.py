"""Profiles: what a study runs on and how long it trains. A study varies one axis of a profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from harness.datasets import Dataset
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.textures import Textures
from harness.detectors import Detector, PlainNetwork
from harness.encoders import Encoder
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.meds import MeDS
from harness.networks.dinomaly import Dinomaly
from harness.noise import Noise
from harness.optimizer import Training


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A dataset with an encoder, a network, training lengths, and the values that studies use as axes."""

    name: str
    dataset: Dataset
    encoder: Encoder
    plain: PlainNetwork
    """The network as its authors train it, as many steps as MeDS has in its two stages."""
    meds: MeDS
    """MeDS on the same network."""
    noise_ratios: tuple[float, ...]
    noise: Noise = Noise()
    """Protocol and seed of the contamination; a study sets the ratio."""
    rhos: tuple[float, ...]
    """Subsampling ratios of the memory ensemble."""
    meds_rhos: tuple[float, ...]
    """Subsampling ratios at which MeDS is trained, too."""
    inreach: InReaCh = InReaCh()
    """InReaCh with channels that so many images can have."""
    fun_ad: FunAD
    """FUN-AD, shorter and faster than published: its bank is smaller and made once an epoch, its rate is ten times as
    high."""
    several_categories: bool = True
    """Whether the dataset has more than one."""
    self_made: bool = False
    """Whether the dataset is made by this software, so that no data root is needed."""

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

SMOKE = Profile(
    name="smoke",
    dataset=Textures(train=12, good=6, defective=10),
    encoder=Encoder(image_size=128),
    plain=PlainNetwork(network=_TINY, training=Training(steps=20)),
    meds=MeDS(
        network=replace(_TINY, discard=0.5),
        distillation=Training(steps=10),
        finetuning=Training(steps=10),
    ),
    noise_ratios=(0.0, 0.4),
    rhos=(0.1, 0.5, 1.0),
    meds_rhos=(0.5,),
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

PROFILES = {profile.name: profile for profile in (LAPTOP, SMOKE, MTD)}
