"""Contamination: which defective test images are put, unlabelled, among the normal training images.

The one protocol so far, `meds`, follows the lists that the authors of MeDS published (they differ
from the paper's text): per category m = min(A, round half to even(ratio * n)) of the A defective
test images join the n normal training images, drawn uniformly without replacement; all of them stay
in the test set as well ("overlap"). The achieved contamination m / (n + m) is therefore below the
nominal ratio: 28.6 % for 0.4, less where A is short.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd

from harness.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How much contamination, drawn how."""

    ratio: float = 0.0
    """Nominal ratio: injected images per clean normal training image, in [0, 1)."""
    seed: int = 0
    """Seed of the draw."""
    protocol: Literal["meds"] = "meds"
    """Rule for count, rounding, shortage and overlap."""

    def __post_init__(self) -> None:
        if not 0 <= self.ratio < 1:
            raise InputError(
                f"noise ratio must lie in [0, 1), got {self.ratio}: it counts injected anomalies per normal training "
                "image. The paper's values are 0, 0.1, 0.2 and 0.4."
            )


@dataclass(frozen=True)
class NoisySplit:
    """A contaminated dataset: who is trained on and who is tested."""

    train: pd.DataFrame
    """Rows of the sample table in the training set, normal and injected."""
    test: pd.DataFrame
    """Rows of the sample table in the test set."""
    injected_N: np.ndarray
    """True where a training row was injected. Evaluation only: no detector sees it."""
    counts: pd.DataFrame
    """Per category: normals n, anomalies A, wanted, injected m, and contamination m / (n + m)."""


def contaminate(samples: pd.DataFrame, noise: Noise, *, dataset: str = "") -> NoisySplit:
    """Draw the contaminated training set of a sample table.

    Every category has a generator of its own, seeded by a digest of seed, dataset, category, ratio
    and protocol, so that no list depends on another category or on the order of the table.

    Args:
        samples: Table with the columns of `harness.datasets`.
        noise: Ratio, seed and protocol.
        dataset: Name of the dataset, part of the seed.
    """
    train = samples[(samples["split"] == "train") & (samples["defect"] == "good")]
    test = samples[samples["split"] == "test"]
    anomalies = test[test["defect"] != "good"]
    injected, counts = [], []
    for category, normals in train.groupby("category"):
        candidates = sorted(anomalies.loc[anomalies["category"] == category, "image"])
        wanted = injection_count(len(normals), noise.ratio)
        count = min(len(candidates), wanted)
        rng = _generator(noise, dataset, str(category))
        injected += [candidates[i] for i in rng.choice(len(candidates), size=count, replace=False)]
        contamination = count / (len(normals) + count)
        counts.append((category, len(normals), len(candidates), wanted, count, contamination))
    joined = samples[samples.index.isin(train.index) | samples["image"].isin(injected)]
    columns = ["category", "normals", "anomalies", "wanted", "injected", "contamination"]
    return NoisySplit(
        train=joined,
        test=test,
        injected_N=(joined["defect"] != "good").to_numpy(),
        counts=pd.DataFrame(counts, columns=columns),
    )


def injection_count(normals: int, ratio: float) -> int:
    """Images to inject before any shortage: ratio * normals, rounded half to even, exact in decimal.

    >>> [injection_count(n, r) for n, r in [(209, 0.1), (245, 0.1), (450, 0.05), (905, 0.1), (100, 0.29)]]
    [21, 24, 22, 90, 29]
    """
    return round(Fraction(str(ratio)) * normals)


def _generator(noise: Noise, dataset: str, category: str) -> np.random.Generator:
    text = f"{noise.seed}|{dataset}|{category}|{noise.ratio!r}|{noise.protocol}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))
