"""Dataset, encoder and training length of a study, chosen apart from the profile that has the rest.

Importing this module loads neither torch, MLflow nor Ray.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.datasets.discovery import dataset_named
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.detectors import ReconstructionDetector
    from harness.detectors.meds import MeDS
    from sweeps.profiles.contract import Profile

FEWEST = 2
"""Fewest training steps: one of distillation and one of fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """Parts of the profile to exchange; the default exchanges nothing."""

    dataset: str | None = None
    """Name of the dataset, instead of the profile's: btad, folder, magnetic_tile, mpdd, mvtec_ad, mvtec_loco, real_iad,
    textures or visa. All other settings stay those of the profile."""
    encoder: str | None = None
    """Encoder instead of the profile's: the name of a timm model, or `shipped` for the encoder that needs no download.
    Methods for which the profile has another encoder keep that one."""
    steps: int | None = None
    """Training steps of MeDS, split into its two stages as in the profile. The plain network keeps its proportion to
    MeDS: on our own profiles it has equally many steps. Other methods keep their lengths."""
    add_method: tuple[str, ...] = ()
    """Names of further methods that run beside the profile's baselines, such as detectors of plug-ins. They have the
    profile's encoder, and the settings that `fit` uses."""

    def check(self) -> None:
        """Check what can be checked before torch is imported.

        Raises:
            UsageError: there is no such dataset, or the number of steps is too small.
        """
        if self.dataset is not None:
            dataset_named(self.dataset)
        if self.steps is not None and self.steps < FEWEST:
            raise UsageError(
                f"--steps must be at least {FEWEST}, because MeDS trains in two stages, got {self.steps}."
            )

    @property
    def variant(self) -> str:
        """Description of the exchanged parts; empty if there are none."""
        parts = {"dataset": self.dataset, "encoder": self.encoder, "steps": self.steps}
        return ", ".join(f"{name} {value}" for name, value in parts.items() if value)

    def apply(self, profile: Profile) -> Profile:
        """Return the profile with the exchanged parts.

        Raises:
            UsageError: there is no such dataset, encoder or method, or the number of steps is too small.
        """
        self.check()
        if self.dataset is not None and self.dataset != profile.dataset.name:
            profile = _with_dataset(profile, self.dataset)
        if self.encoder is not None:
            profile = _with_encoder(profile, self.encoder)
        if self.add_method:
            profile = _with_methods(profile, self.add_method)
        return profile if self.steps is None else _with_steps(profile, self.steps)


def _with_dataset(profile: Profile, name: str) -> Profile:
    from sweeps.profiles import PROFILES

    dataset: Any = dataset_named(name)
    return replace(
        profile,
        dataset=dataset,
        several_categories=len(dataset.expected) > 1,
        generated=name in {each.dataset.name for each in PROFILES.values() if each.generated},
    )


def _with_methods(profile: Profile, names: tuple[str, ...]) -> Profile:
    """Return the profile with further baselines on its own encoder."""
    from harness.inference.methods import method_named

    more = tuple(method_named(name).detector for name in names)
    presets = tuple(replace(profile.own, detector=detector) for detector in more)
    released = None if profile.released is None else (*profile.released, *presets)
    return replace(profile, baselines=(*profile.baselines, *more), released=released)


def _with_encoder(profile: Profile, name: str) -> Profile:
    """Return the profile with another encoder wherever it uses its own."""
    from harness.detectors.encoders import encoder_named
    from sweeps.launch.files import mapped

    own = profile.encoder
    chosen = encoder_named(name, own)
    return mapped(profile, lambda value: chosen if value == own else value)


def _with_steps(profile: Profile, steps: int) -> Profile:
    def changed(plain: ReconstructionDetector, meds: MeDS) -> dict[str, Any]:
        stages = meds.distillation, meds.finetuning
        total = sum(stage.steps for stage in stages if stage)
        first = min(max(1, _share(steps, stages[0], total)), steps - 1)
        lengths = (first, steps - first) if all(stages) else (steps, steps)
        distillation, finetuning = (
            stage and replace(stage, steps=length, images=None)
            for stage, length in zip(stages, lengths, strict=True)
        )
        of_plain = max(1, _share(steps, plain.training, total))
        return {
            "plain": replace(plain, training=replace(plain.training, steps=of_plain, images=None)),
            "meds": replace(meds, distillation=distillation, finetuning=finetuning),
        }

    others = tuple(replace(pair, **changed(pair.plain, pair.meds)) for pair in profile.others)
    return replace(profile, others=others, **changed(profile.plain, profile.meds))


def _share(steps: int, stage: Any, total: int) -> int:
    """Return the steps of a training if `total` steps become `steps`; 0 without this training."""
    return round(steps * stage.steps / total) if stage else 0
