"""Which part of a study to run: the axes of its profile narrowed, and some of its cells left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.config.file_ref import file_ref
from harness.errors import InputError, UsageError
from harness.noise import LIST, Noise

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.tracking.study_members import StudyScope
    from sweeps.profiles.contract import Profile


@dataclass(frozen=True, kw_only=True)
class StudyFilter:
    """What to run of a study; by default all."""

    noise: tuple[float, ...] | None = None
    """Only these noise ratios, instead of the profile's."""
    protocol: str = "meds"
    """How contamination is drawn: meds, meds_paper, softpatch, softpatch_overlap, imiad, or list:FILE, a CSV file whose
    column `filename` names the training images."""
    noise_seed: int = 0
    """Seed of the contamination."""
    rho: tuple[float, ...] | None = None
    """Only these subsampling ratios, instead of the profile's."""
    category: tuple[str, ...] | None = None
    """Only these categories of the dataset: another experiment than one on all of them."""
    method: tuple[str, ...] | None = None
    """Only these methods: memory, meds, plain, patchcore, softpatch, inreach, fun_ad, reverse_distillation, uniad,
    efficient_ad, ad2."""
    seed: tuple[int, ...] | None = None
    """These training seeds instead of the study's; memory ensembles have none."""
    limit: int | None = None
    """At most so many experiments, the first of the study."""

    weights: tuple[str, ...] = ()
    """Files of weights of encoders, where no hub can be reached: NAME=FILE for all that timm calls NAME; timm's files,
    or DINOv2's own."""
    teacher: str | None = None
    """File of weights of EfficientAD-M's and AD2's teacher, instead of the profile's (see `pretrain-teacher`)."""
    penalty: str | None = None
    """Folder of images of anything else for these two, ImageNet as published; without it there is no penalty."""

    @property
    def scope(self) -> StudyScope:
        """What of a study this is: all, a part or a repetition that goes beside the rest, or a variant of it.

        Raises:
            InputError: a file is not there.
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
            "penalty": self.penalty,
        }
        words = [f"{name} {value}" for name, value in settings.items() if value]
        return StudyScope(whole=whole, variant=", ".join(words))

    def narrow(self, profile: Profile) -> Profile:
        """The profile with fewer values on its axes.

        Raises:
            InputError: the dataset has no categories to choose from, or a file is not there.
        """
        profile = replace(profile, noise=self._noise())
        if self.noise is not None:
            profile = replace(profile, noise_ratios=self.noise)
        if self.rho is not None:
            profile = replace(profile, rhos=self.rho, meds_rhos=self.rho)
        profile = self._with_files(profile)
        if self.category is not None:
            dataset: Any = profile.dataset
            if "categories" not in {field.name for field in dataclasses.fields(dataset)}:
                raise InputError(
                    f"The categories of {dataset.name} cannot be chosen: leave --category out."
                )
            several = len(self.category) > 1
            dataset = replace(dataset, categories=self.category)
            profile = replace(profile, dataset=dataset, several_categories=several)
        return profile

    def _noise(self) -> Noise:
        if not self.protocol.startswith(f"{LIST}:"):
            return Noise(protocol=self.protocol, seed=self.noise_seed)
        listed = file_ref(self.protocol.removeprefix(f"{LIST}:"))
        return Noise(protocol=LIST, seed=self.noise_seed, listed=listed)

    def _with_files(self, profile: Profile) -> Profile:
        from sweeps.launch.weights import with_weights

        profile = with_weights(profile, self.weights)
        if self.teacher:
            profile = profile.with_students(teacher=file_ref(self.teacher))
        return profile.with_students(penalty=self.penalty) if self.penalty else profile

    def pick(self, experiments: Sequence[Experiment]) -> list[Experiment]:
        """The experiments to run, in the study's order.

        Raises:
            UsageError: the study has none of them.
        """
        chosen = list(experiments)
        if self.method is not None:
            there = list(dict.fromkeys(experiment.detector.name for experiment in chosen))
            if unknown := [each for each in self.method if each not in there]:
                raise UsageError(
                    f"The study has no experiment of method {unknown[0]}. There: {', '.join(there)}."
                )
            chosen = [e for e in chosen if e.detector.name in self.method]
        if self.seed is not None:
            chosen = _with_seeds(chosen, self.seed)
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit is a number from 1 on, got {self.limit}.")
        if not chosen:
            raise UsageError(
                "With these options the study has no experiment. Some have none without noise, or of some methods: "
                "change --noise, --rho or --method, or leave them out."
            )
        return chosen[: self.limit]


def _with_digest(pair: str) -> str:
    """NAME=FILE, as NAME= and what is in the file."""
    name, _, file = pair.partition("=")
    return f"{name}={file_ref(file).digest}"


def _with_seeds(experiments: Sequence[Experiment], seeds: Sequence[int]) -> list[Experiment]:
    """Each experiment with each of the training seeds, in place of the study's; a memory, which has none, once."""
    from harness.detectors import MemoryDetector

    seedless = [e for e in experiments if isinstance(e.detector, MemoryDetector)]
    others = [e for e in experiments if not isinstance(e.detector, MemoryDetector)]
    seeded = [replace(experiment, seed=seed) for seed in seeds for experiment in others]
    return list(dict.fromkeys([*seedless, *seeded]))
