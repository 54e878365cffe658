"""Profile of a study: dataset, encoder, methods, training lengths, and the axes that studies vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from baselines.presets import MethodPreset
from harness.datasets import Dataset
from harness.detectors import Detector, ReconstructionDetector
from harness.detectors.meds import MeDS
from harness.detectors.presets import NetworkPreset
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.features.encoder import Encoder
from harness.noise import Noise

Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A dataset with an encoder, a network, training lengths, and the values that studies use as axes."""

    name: str
    dataset: Dataset
    encoder: Encoder
    plain: ReconstructionDetector
    """Network as its authors train it; in our own profiles with as many steps as the two stages of MeDS together."""
    meds: MeDS
    """MeDS on the same network."""
    tuned: MeDS | None = None
    """Variant of MeDS that is chosen for the profile's encoder (study `student`); None for published settings alone."""
    noise_ratios: tuple[float, ...]
    """Noise ratios of the training set, in [0, 1)."""
    noise: Noise = Noise()
    """Protocol and seed of the contamination; a study sets the ratio."""
    rhos: tuple[float, ...]
    """Subsampling ratios of the memory ensemble."""
    meds_rhos: tuple[float, ...]
    """Subsampling ratios at which MeDS is also trained."""
    others: tuple[NetworkPreset, ...] = ()
    """Further networks of the main table."""
    released: tuple[MethodPreset, ...] | None = None
    """Baselines of the main table with their authors' encoders; None for all baselines, on the profile's features."""
    baselines: tuple[Detector, ...]
    """Noise-robust baselines on the profile's features, in the order of tables."""
    systems: tuple[MethodPreset, ...]
    """Trained systems: those of the papers that are not made for noise, AD2, LLBNAD, CoMet; each with several seeds."""
    rivals: tuple[Detector, ...] = ()
    """Later methods without training or random choices, on the profile's features; the study `systems` runs them."""
    several_categories: bool = True
    """True if the dataset has more than one category."""
    apart: bool = False
    """True if every category is a separate experiment with a separate network (single-class setting)."""
    generated: bool = False
    """True if this software draws the dataset, so that no data root is needed."""

    def cells(self, experiments: Sequence[Experiment]) -> list[Experiment]:
        """Return a study's experiments as this profile runs them: one for all categories, or one per category."""
        if not self.apart:
            return list(experiments)
        return [
            replace(experiment, categories=(name,))
            for experiment in experiments
            for name in experiment.categories or self.categories
        ]

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the dataset's categories."""
        chosen: tuple[str, ...] | None = getattr(self.dataset, "categories", None)
        return chosen or tuple(self.dataset.expected)

    def baseline(self, kind: type[Kind]) -> Kind:
        """Return the baseline of this class."""
        return next(each for each in self.baselines if isinstance(each, kind))

    def system(self, kind: type) -> MethodPreset:
        """Return the system whose detector is of this class."""
        return next(each for each in self.systems if isinstance(each.detector, kind))

    @property
    def own(self) -> MethodPreset:
        """Preset of the profile's encoder and network, as the network's authors train it."""
        return MethodPreset(encoder=self.encoder, detector=self.plain, evaluation=Evaluation())

    @property
    def main_baselines(self) -> tuple[MethodPreset, ...]:
        """Baselines of the main table: with their authors' encoders, or on the profile's features."""
        if self.released is not None:
            return self.released
        return tuple(replace(self.own, detector=detector) for detector in self.baselines)

    def cell(self, method: MethodPreset, ratio: float, *, seed: int = 0) -> Experiment:
        """Return the experiment of a method with the method's encoder and evaluation, at a noise ratio."""
        of_profile = self.experiment(
            method.detector, ratio, seed=seed, evaluation=method.evaluation
        )
        return replace(of_profile, encoder=method.encoder)

    def experiment(
        self,
        detector: Detector,
        ratio: float,
        *,
        seed: int = 0,
        evaluation: Evaluation = Evaluation(),
    ) -> Experiment:
        """Return the experiment of a detector with this profile's data and encoder, at a noise ratio."""
        return Experiment(
            dataset=self.dataset,
            encoder=self.encoder,
            detector=detector,
            noise=replace(self.noise, ratio=ratio),
            seed=seed,
            evaluation=evaluation,
        )
