"""Contamination: selection of the defective test images that are injected, unlabelled, into the training set.

"Noise 40 %" means different things in different code; each protocol here is one of these meanings. The default protocol
`meds` follows the lists that the authors of MeDS published, which differ from the text of their paper. At noise 40 %,
these lists inject 40 images per 100 normal images of a category (28.6 % of the training set). If a category's test set
has fewer defective images, all of them are injected. Injected images stay in the test set.

Legend: n normal training images of a category, A its defective test images, r the nominal ratio, m injected images.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd

from harness.config.discovery import with_plugins
from harness.config.file_ref import FileRef
from harness.config.fingerprint import added_field
from harness.config.settings import check_seed
from harness.errors import InputError
from harness.images import read_image_list
from harness.noise.counts import count_injected
from harness.noise.published_lists import find_listed, published_injections


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Rules for the number and the choice of injected images."""

    base: Literal["normals", "total"] = "normals"
    """Reference of r: the normal images (m = r n), or all images of the training set (m = r n / (1 - r))."""
    rounding: Literal["half_even", "floor"] = "half_even"
    """Rounding of m to a whole number; m is computed exactly, in decimal."""
    shortage: Literal["cap", "error", "three_quarters"] = "cap"
    """Rule for m > A: inject all A (cap), raise an error, or never inject more than 3/4 of A (three_quarters)."""
    stratified: bool = False
    """True if each kind of defect is injected in proportion to its number of images."""
    overlap: bool = True
    """True if injected images stay in the test set."""

    def wanted(self, normals: int, ratio: float) -> int:
        """Return the number of images to inject, before any shortage is considered.

        >>> [Protocol().wanted(n, r) for n, r in [(209, 0.1), (245, 0.1), (450, 0.05), (100, 0.29)]]
        [21, 24, 22, 29]
        >>> Protocol(base="total").wanted(905, 0.1), Protocol(rounding="floor").wanted(209, 0.1)
        (101, 20)
        """
        share = Fraction(str(ratio))
        exact = share * normals if self.base == "normals" else share * normals / (1 - share)
        return round(exact) if self.rounding == "half_even" else math.floor(exact)

    def available(self, anomalies: int) -> int:
        """Return how many of `anomalies` defective images may be injected."""
        return anomalies * 3 // 4 if self.shortage == "three_quarters" else anomalies


PROTOCOLS = {
    "meds": Protocol(),
    "meds_paper": Protocol(base="total", stratified=True),
    "softpatch": Protocol(rounding="floor", shortage="error", overlap=False),
    "softpatch_overlap": Protocol(rounding="floor", shortage="error"),
    "imiad": Protocol(rounding="floor", shortage="three_quarters", overlap=False),
}
LIST = "list"
"""Name of the protocol that reads the training images from a file of the user."""


@functools.cache
def protocols() -> dict[str, Protocol]:
    """Return all protocols by name: ours, and those in the constant PROTOCOLS of plug-ins.

    Raises:
        InputError: a plug-in cannot be used.
    """
    return with_plugins("protocols", PROTOCOLS, lambda module: module.PROTOCOLS)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Amount of contamination, and how the injected images are drawn."""

    ratio: float = 0.0
    """Nominal ratio r in [0, 1); below 0.5 for a protocol whose ratio refers to all training images."""
    seed: int = 0
    """Seed of the draw. With `meds`, seeds 0, 10, 20 and 30 use the lists published by the authors, where available."""
    protocol: str = "meds"
    """Name of the protocol: meds, meds_paper, softpatch, softpatch_overlap, imiad, or list."""
    nested: bool = False
    """True if a larger ratio injects all images of a smaller ratio too, so that fewer images differ between ratios."""
    listed: FileRef | None = added_field(None)
    """CSV file for the protocol list; its column `filename` has the training images, relative to the data root."""

    def __post_init__(self) -> None:
        check_seed(self.seed, "The seed of the contamination (--noise-seed)")
        # The protocols of plug-ins are read only if needed, because they import this module.
        if self.protocol not in (*PROTOCOLS, LIST) and self.protocol not in protocols():
            raise InputError(
                f"There is no noise protocol {self.protocol!r}. Protocols: {', '.join(protocols())}, and {LIST} with a "
                f"file (--protocol {LIST}:FILE)."
            )
        if (self.protocol == LIST) != (self.listed is not None):
            raise InputError(
                f"The protocol {LIST} needs a file of training images, and no other protocol accepts one. Use "
                f'--protocol {LIST}:FILE, or Noise(protocol="{LIST}", listed=file_ref(FILE)).'
            )
        if not 0 <= self.ratio < 1:
            raise InputError(
                f"noise ratio must lie in [0, 1), got {self.ratio}: the ratio counts injected anomalies per normal "
                "training image. The paper's values are 0, 0.1, 0.2 and 0.4."
            )
        if self.rule.base == "total" and self.ratio >= 0.5:
            raise InputError(
                f"noise ratio must be below 0.5 under {self.protocol}, got {self.ratio}: normal images must be the "
                "majority."
            )

    @property
    def rule(self) -> Protocol:
        """Rules of the protocol. The protocol list uses the rules of `meds`, of which only the overlap matters."""
        known = "meds" if self.protocol == LIST else self.protocol
        return PROTOCOLS[known] if known in PROTOCOLS else protocols()[known]

    @property
    def wanted(self) -> Callable[[int], int] | None:
        """Number of images to inject, as a function of the number of normal images; None for a list of the user."""
        return None if self.listed else lambda normals: self.rule.wanted(normals, self.ratio)

    def published(self, dataset: str) -> dict[str, list[str]] | None:
        """Return the published lists for this ratio and seed by category; None if all images are drawn."""
        if self.protocol != "meds" or self.nested:
            return None
        return published_injections(dataset, self.ratio, self.seed)

    def unlisted(self, dataset: str, categories: Iterable[str]) -> tuple[str, ...]:
        """Return the categories that are drawn although the dataset has published lists for this ratio and seed.

        >>> Noise(ratio=0.1).unlisted("mvtec_ad", ["bottle", "commutator"])
        ('commutator',)
        """
        published = self.published(dataset)
        return () if published is None else tuple(c for c in categories if c not in published)


@dataclass(frozen=True)
class NoisySplit:
    """A contaminated dataset: the training set and the test set."""

    train: pd.DataFrame
    """Rows of the sample table in the training set, both normal and injected images."""
    test: pd.DataFrame
    """Rows of the sample table in the test set."""
    injected_N: np.ndarray
    """True where a training row is anomalous. For evaluation only; detectors never receive this array."""
    counts: pd.DataFrame
    """Counts by category, see `harness.noise.counts`."""

    @property
    def seen_N(self) -> np.ndarray:
        """True where a test row is also in the training set."""
        return self.test["image"].isin(self.train["image"]).to_numpy()


def contaminate(samples: pd.DataFrame, noise: Noise) -> NoisySplit:
    """Draw the contaminated training set of a sample table.

    Each category has a separate generator, seeded by a digest of seed, dataset, category, protocol and ratio. The
    injected images of a category therefore depend neither on other categories nor on the order of the table. Anomalies
    that are already in the training split (Real-IAD's official noisy lists) stay there at any ratio.

    A category of MVTec AD or VisA that no published list names is drawn like a category of any other dataset.

    Args:
        samples: Table with the columns of `harness.datasets`.
        noise: Ratio, seed and protocol.

    Raises:
        InputError: a category has too few anomalies for the protocol, or a draw would leave no anomaly to test. Also if
            nothing would be injected at a ratio above 0, or if a list does not fit the dataset.
    """
    train = samples[samples["split"] == "train"]
    test = samples[samples["split"] == "test"]
    dataset = str(samples["dataset"].iloc[0]) if "dataset" in samples and len(samples) else ""
    of_list = noise.listed and _listed(train, test, noise.listed)
    injected = of_list or _injected(train, test, noise, dataset)
    contaminated = samples[samples.index.isin(train.index) | samples["image"].isin(injected)]
    if noise.listed:
        contaminated = contaminated[contaminated["image"].isin(injected)]
    if not noise.rule.overlap:
        test = test[~test["image"].isin(injected)]
    injected_N = (contaminated["defect"] != "good").to_numpy()
    return NoisySplit(
        contaminated,
        test,
        injected_N,
        count_injected(contaminated, test, samples, noise.wanted, noise.published(dataset) or ()),
    )


def _injected(train: pd.DataFrame, test: pd.DataFrame, noise: Noise, dataset: str) -> set[str]:
    """Return the paths of the images to inject, over all categories."""
    injected: set[str] = set()
    published = noise.published(dataset) or {}
    for name, normals in train[train["defect"] == "good"].groupby("category"):
        category = str(name)
        of_category = (test["category"] == category) & (test["defect"] != "good")
        candidates = test[of_category].sort_values("image")
        if category in published:
            injected |= set(
                find_listed(published[category], candidates["image"], dataset, category)
            )
        else:
            injected |= _drawn(len(normals), candidates, noise, dataset, category)
    if noise.ratio > 0 and not injected:
        raise InputError(
            f"Noise ratio {noise.ratio:g} under {noise.protocol} would inject no image into "
            f"{', '.join(sorted(train['category'].unique()))}: no category has enough normal images for one injected "
            "image, or none has defective test images. Raise the ratio, add images, or use the ratio 0."
        )
    return injected


def _drawn(
    normals: int, candidates: pd.DataFrame, noise: Noise, dataset: str, category: str
) -> set[str]:
    """Draw the images to inject into one category with this number of normal training images."""
    wanted = noise.rule.wanted(normals, noise.ratio)
    count = min(wanted, noise.rule.available(len(candidates)))
    _check_supply(category, noise, wanted, count, len(candidates))
    rng = _generator(noise, dataset, category)
    picks = (
        _stratified(candidates, count, rng)
        if noise.rule.stratified
        else rng.permutation(len(candidates))[:count]
    )
    return set(candidates["image"].to_numpy()[picks])


def _check_supply(category: str, noise: Noise, wanted: int, count: int, anomalies: int) -> None:
    if count < wanted and noise.rule.shortage == "error":
        raise InputError(
            f"Noise ratio {noise.ratio} under {noise.protocol} needs {wanted} anomalous images of {category!r} but the "
            f"test split has {anomalies}. Lower the ratio, or use the protocol meds, which then injects all of them."
        )
    if count == anomalies and count and not noise.rule.overlap:
        raise InputError(
            f"Noise ratio {noise.ratio} under {noise.protocol} would inject all {anomalies} anomalous images of "
            f"{category!r} and leave none to test. Lower the ratio, or use a protocol that keeps injected "
            "images in the test set."
        )


def _stratified(candidates: pd.DataFrame, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the positions of `count` images, with each kind of defect in proportion to its number of images.

    Quotas are rounded down; the remaining images go to the largest remainders. Ties go to the defect with more images,
    then to the first name.
    """
    sizes = candidates.groupby("defect").size()
    exact = {defect: Fraction(count * int(size), len(candidates)) for defect, size in sizes.items()}
    quotas = {defect: math.floor(share) for defect, share in exact.items()}
    by_remainder = sorted(exact, key=lambda d: (quotas[d] - exact[d], -int(sizes[d]), str(d)))
    for defect in by_remainder[: count - sum(quotas.values())]:
        quotas[defect] += 1
    picks = [
        rng.permutation(np.flatnonzero((candidates["defect"] == defect).to_numpy()))[:quota]
        for defect, quota in sorted(quotas.items())
    ]
    return np.concatenate(picks) if picks else np.empty(0, dtype=int)


def _generator(noise: Noise, dataset: str, category: str) -> np.random.Generator:
    """Return the generator of one category.

    Nested draws use the same generator at all ratios, so they take prefixes of the same permutation.
    """
    ratio = "" if noise.nested else repr(noise.ratio)
    text = f"{noise.seed}|{dataset}|{category}|{noise.protocol}|{ratio}"
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()))


def _listed(train: pd.DataFrame, test: pd.DataFrame, listed: FileRef) -> set[str]:
    """Read the images named in a CSV file of the user: the complete training set, both normal and injected."""
    file = listed.checked()
    names = set(read_image_list(file, "filename"))
    known = set(train["image"]) | set(test.loc[test["defect"] != "good", "image"])
    if unknown := sorted(names - known):
        raise InputError(
            f"{file} names {unknown[0]} and {len(unknown) - 1} more images that are neither in the training split nor "
            "anomalous test images. Write paths relative to the data root, with forward slashes."
        )
    return names
