"""Experiment, a value that prints, hashes and pickles: everything that decides the numbers, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.fingerprint import added_field, canonical_repr
from harness.config.settings import check_seed, flat_settings
from harness.datasets import Dataset
from harness.detectors import Detector
from harness.errors import InputError
from harness.evaluation import Evaluation
from harness.features.encoder import Encoder
from harness.memory import Memory
from harness.noise import LIST, Noise
from harness.noise.contamination import PROTOCOLS


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment of a study, without any path or machine."""

    dataset: Dataset
    """Dataset, without its folder."""
    encoder: Encoder
    """Encoder of the images."""
    detector: Detector
    """Method and its hyperparameters."""
    noise: Noise = Noise()
    """Contamination of the training images."""
    seed: int = 0
    """Seed of the detector's training."""
    evaluation: Evaluation = Evaluation()
    """Settings of the comparison of maps with masks, and further measurements."""
    categories: tuple[str, ...] | None = added_field(None)
    """Categories of the dataset that one detector is trained and tested on; None for all."""

    def __post_init__(self) -> None:
        check_seed(self.seed, "The seed of the training (--seed)")
        features, memories = self.encoder.memory, self.detector.requirements.memories
        is_cosine = any(memory.distance == "cosine" for memory in memories)
        if is_cosine and features and not features.unit_length:
            raise InputError(
                f"The memory's cosine distance needs features of unit length, but {type(features).__name__} does not "
                'normalise its features. Set the memory\'s distance to "euclidean", or choose other features.'
            )

    @property
    def key(self) -> str:
        """Digest of the value; equal experiments have equal keys on every machine.

        Categories that no published list names received no injected images in earlier versions and are drawn now.
        Experiments that are known to draw such a category therefore have other keys than they had. Where the folder
        determines the categories, stored runs of those versions are recognised (`harness.tracking.old_draws`).

        The protocol of a plug-in is named with its rules, since a later version of the plug-in may change them.

        Earlier versions cut the masks of a cropping encoder twice, before and after the crop. Such encoders therefore
        have other keys, too. Without a crop, a mask was cut once before.
        """
        text = canonical_repr(self)
        if self.encoder.crop_size is not None:
            text += ", masks='cut once'"
        if self.noise.protocol not in (*PROTOCOLS, LIST):
            text += f", rule={self.noise.rule!r}"
        known = self.categories or getattr(self.dataset, "categories", None) or ()
        if drawn := self.noise.unlisted(self.dataset.name, known):
            text += f", drawn={drawn!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def stored(self) -> Encoder:
        """Encoder as the experiment's images are stored: pixels alone for a detector that reads nothing else."""
        if self.evaluation.agreement:
            return self.encoder
        return self.detector.requirements.stored(self.encoder)

    @property
    def params(self) -> dict[str, Any]:
        """Settings by dotted name, such as `detector.memory.ratio`; the name of a component maps to its class."""
        return dict(flat_settings("", self))

    @property
    def name(self) -> str:
        """Short description for one line of text, with the settings that vary in most studies; see `names`."""
        parts = [self.detector.title, f"noise {self.noise.ratio:.0%}"]
        labels = [memory.label for memory in self.detector.requirements.memories]
        parts += dict.fromkeys(filter(None, labels))
        parts += [", ".join(self.categories)] if self.categories else []
        parts += [f"seed {self.seed}"] if self.seed else []
        parts += [f"noise seed {self.noise.seed}"] if self.noise.seed else []
        return ", ".join(parts)

    @property
    def memories(self) -> list[Memory]:
        """Memories whose scores the experiment reads, in its detector or in its evaluation."""
        needs = self.detector.requirements
        left_out = needs.left_out if self.evaluation.thresholds else ()
        return [*dict.fromkeys((*needs.memories, *left_out, *self.evaluation.agreement))]


def names(experiments: Mapping[str, Experiment]) -> dict[str, str]:
    """Return a distinct name per experiment of a study, by key.

    Experiments with equal names share a prefix: each one but the first adds the settings in which
    it differs from the first.
    """
    firsts: dict[str, Experiment] = {}
    found: dict[str, str] = {}
    for key, experiment in experiments.items():
        first = firsts.setdefault(experiment.name, experiment)
        found[key] = ", ".join([experiment.name, *_differences(experiment, first)])
    return found


def _differences(experiment: Experiment, first: Experiment) -> list[str]:
    """Return `setting=value` for every setting that differs; a component of another class is named by its class."""
    usual, others = first.params, []
    differing = {
        setting: value
        for setting, value in experiment.params.items()
        if setting not in usual or usual[setting] != value
    }
    for setting, value in differing.items():
        if not any(setting.startswith(f"{component}.") for component in differing):
            others.append(f"{setting.rpartition('.')[2]}={value}")
    return list(dict.fromkeys(others))
