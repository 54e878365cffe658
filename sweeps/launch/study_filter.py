"""Part of a study to run: fewer values on the axes of its profile, and fewer of its experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.config.file_ref import file_ref
from harness.errors import UsageError
from harness.noise import LIST, Noise

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.tracking.study_members import StudyScope
    from sweeps.profiles.contract import Profile


@dataclass(frozen=True, kw_only=True)
class StudyFilter:
    """Part of a study to run; the default is the whole study."""

    noise: tuple[float, ...] | None = None
    """Noise ratios, instead of the profile's."""
    protocol: str = "meds"
    """Contamination protocol: meds, meds_paper, softpatch, softpatch_overlap, imiad, or list:FILE. FILE is a CSV file
    whose column `filename` names the training images."""
    noise_seed: int = 0
    """Seed of the contamination."""
    rho: tuple[float, ...] | None = None
    """Subsampling ratios, instead of the profile's."""
    category: tuple[str, ...] | None = None
    """Categories of the dataset; an experiment on these is another experiment than one on all categories."""
    method: tuple[str, ...] | None = None
    """Names of methods; --dry-run prints the names that a study has."""
    seed: tuple[int, ...] | None = None
    """Training seeds instead of the study's; memory ensembles have none."""
    limit: int | None = None
    """Maximum number of experiments, taken from the start of the study; of a search, of settings."""

    weights: tuple[str, ...] = ()
    """Weights files of encoders, for machines without access to a hub: NAME=FILE for all encoders that timm calls NAME.
    The files are timm's, or DINOv2's own."""
    teacher: str | None = None
    """Weights file of the teacher of EfficientAD-M and AD2, instead of the profile's (see `pretrain-teacher`)."""
    penalty_images: Annotated[str | None, tyro.conf.arg(aliases=["--penalty"])] = None
    """Folder of images that do not show the product, for EfficientAD-M and AD2 (published: ImageNet). Without this
    folder there is no penalty. The old name of the option is --penalty."""

    @property
    def scope(self) -> StudyScope:
        """Relation to the study: the whole study, a part or a repetition of it, or a variant of it.

        Raises:
            InputError: a file does not exist.
        """
        from harness.tracking.study_members import StudyScope

        axes = (self.noise, self.rho, self.method, self.seed, self.limit)
        whole = not self.noise_seed and all(axis is None for axis in axes)
        noise = self._noise()
        settings = {
            "protocol": noise.protocol if noise.protocol != Noise().protocol else None,
            "list": noise.listed and noise.listed.digest,
            "weights": ", ".join(map(_with_digest, self.weights)),
            "teacher": self.teacher and file_ref(self.teacher).digest,
            "penalty": self.penalty_images,
        }
        words = [f"{name} {value}" for name, value in settings.items() if value]
        return StudyScope(whole=whole, variant=", ".join(words))

    def restrict(self, profile: Profile) -> Profile:
        """Return the profile with the selected values on its axes.

        Raises:
            InputError: the categories of the dataset cannot be selected, or a file does not exist.
        """
        profile = replace(profile, noise=self._noise())
        if self.noise is not None:
            profile = replace(profile, noise_ratios=self.noise)
        if self.rho is not None:
            profile = replace(profile, rhos=self.rho, meds_rhos=self.rho)
        profile = self._with_files(profile)
        if self.category is not None:
            from harness.datasets.discovery import select_categories

            dataset = select_categories(profile.dataset, self.category)
            several = len(self.category) > 1
            profile = replace(profile, dataset=dataset, several_categories=several)
        return profile

    def _noise(self) -> Noise:
        if not self.protocol.startswith(f"{LIST}:"):
            return Noise(protocol=self.protocol, seed=self.noise_seed)
        listed = file_ref(self.protocol.removeprefix(f"{LIST}:"))
        return Noise(protocol=LIST, seed=self.noise_seed, listed=listed)

    def _with_files(self, profile: Profile) -> Profile:
        from harness.datasets import images_below
        from harness.features.pdn import read_weights
        from sweeps.launch.files import with_students, with_weights

        profile = with_weights(profile, self.weights)
        if self.teacher:
            teacher = file_ref(self.teacher)
            read_weights(teacher.checked())
            profile = with_students(profile, teacher=teacher)
        if self.penalty_images:
            images_below(Path(self.penalty_images))
            profile = with_students(profile, penalty=self.penalty_images)
        return profile

    def select(self, experiments: Sequence[Experiment]) -> list[Experiment]:
        """Return the experiments to run, in the order of the study.

        Raises:
            UsageError: the study has none of the selected experiments.
        """
        chosen = list(experiments)
        if self.method is not None:
            known = list(dict.fromkeys(experiment.detector.name for experiment in chosen))
            if unknown := [each for each in self.method if each not in known]:
                raise UsageError(
                    f"The study has no experiment of method {unknown[0]}. Its methods: {', '.join(known)}."
                )
            chosen = [e for e in chosen if e.detector.name in self.method]
        if self.seed is not None:
            chosen = _with_seeds(chosen, self.seed)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}.")
        if not chosen:
            raise UsageError(
                "With these options the study has no experiment. Some studies have none without noise, or of some "
                "methods. Change --noise, --rho or --method, or leave them out."
            )
        return chosen[: self.limit]


def _with_digest(pair: str) -> str:
    """Return NAME=DIGEST for NAME=FILE, with the digest of the file's content."""
    name, _, file = pair.partition("=")
    return f"{name}={file_ref(file).digest}"


def _with_seeds(experiments: Sequence[Experiment], seeds: Sequence[int]) -> list[Experiment]:
    """Return each experiment with each training seed; a memory, which has no training seed, appears once."""
    from harness.detectors import AdaptiveMemoryDetector, MemoryDetector

    memories = MemoryDetector, AdaptiveMemoryDetector
    seedless = [e for e in experiments if isinstance(e.detector, memories)]
    others = [e for e in experiments if not isinstance(e.detector, memories)]
    seeded = [replace(experiment, seed=seed) for seed in seeds for experiment in others]
    return list(dict.fromkeys([*seedless, *seeded]))
