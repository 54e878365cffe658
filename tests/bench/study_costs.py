"""What each study of the paper costs: counts, and hours at the rates of one GPU (only when asked for).

Counts follow from the datasets' official numbers of images, so no data are needed: images that the paper's encoder
reads, pairs of images that the memory compares, optimizer steps of Dinomaly with and without MeDS, and bytes of
features and tables. A category whose table exceeds 8 GiB is streamed: it compares each pair in both orders and stores
no table.

The environment variable MEDS_GPU_RATES="IMAGES,PAIRS,STEPS" gives the rates per second, as `make bench ARGS=gpu`
measures them on a GPU. Without it, they are those of one H100 before the memory stage had kernels for GPUs.

Images, bytes of features and encoding grow with the number of images. Pairs, distances and bytes of tables grow with
its square in each category. Steps grow with the number of noise ratios, seeds and settings.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from harness.config.settings import steps_of
from harness.experiment import Experiment
from harness.memory.scores import TABLE_BUDGET
from sweeps.profiles.contract import Profile
from sweeps.profiles.paper import MVTEC_AD, REAL_IAD, VISA

ON_REQUEST = True
RATES = (74.0, 2000.0, 21.0)
"""Images, pairs and steps a second that one H100 reached with single pairs of images (`make bench ARGS=paper`)."""
STUDIES = {
    "mvtec_ad": MVTEC_AD,
    "visa": VISA,
    "real_iad": REAL_IAD,
    "ablation": MVTEC_AD,
    "rho": MVTEC_AD,
    "ensemble_size": MVTEC_AD,
}
PATCHES, CHANNELS, GROUPS = 784, 768, 3
"""Patches of an image, channels, and stored groups of features: the memory's and two targets."""
NETWORKS = ("meds", "plain")


def run() -> list[dict[str, Any]]:
    """Count; return the rows of the table."""
    return [_row(study, profile) for study, profile in STUDIES.items()]


def _row(study: str, profile: Profile) -> dict[str, Any]:
    experiments = importlib.import_module(f"sweeps.{study}").experiments(profile)
    own = [e for e in experiments if e.detector.name in NETWORKS and _is_dinomaly(e, profile)]
    images = sum(map(sum, profile.dataset.expected.values()))
    categories = [_pairs(*counts) for counts in profile.dataset.expected.values()]
    pairs = sum(count for count, _ in categories)
    networks = len(profile.dataset.expected) if profile.apart else 1
    steps = networks * sum(steps_of(e.params) for e in own)
    counts = (images, pairs, steps)
    hours = [count / rate / 3600 for count, rate in zip(counts, rates(), strict=True)]
    return {
        "study": study,
        "experiments": len(own),
        "images": images,
        "million pairs": pairs / 1e6,
        "thousand steps": steps / 1e3,
        "features, GB": images * PATCHES * CHANNELS * 2 * GROUPS / 1e9,
        "tables, GB": sum(size for _, size in categories) / 1e9,
        "encoding, h": hours[0],
        "distances, h": hours[1],
        "training, h": hours[2],
    }


def _is_dinomaly(experiment: Experiment, profile: Profile) -> bool:
    network = getattr(experiment.detector, "network", None)
    return type(network) is type(profile.meds.network)


def _pairs(train: int, good: int, defective: int) -> tuple[int, int]:
    """Pairs that a category compares, and bytes of its table: the columns are all images that can be trained on."""
    columns, images = train + defective, train + good + defective
    size = 4 * images * PATCHES * columns
    if size > TABLE_BUDGET:
        return images * columns, 0
    return columns * (columns + 1) // 2 + good * columns, size


def rates() -> tuple[float, ...]:
    """Images, pairs and steps a second."""
    given = os.environ.get("MEDS_GPU_RATES")
    return tuple(float(part) for part in given.split(",")) if given else RATES
