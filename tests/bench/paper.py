"""What the paper's encoder and network take on this device, and what its main table would (only when asked for).

DINOv2-R ViT-B/14 at 392 pixels with random weights, Dinomaly of its published size, batches of 16, on drawn textures.
The hours are those of MeDS with Dinomaly on all of MVTec AD or VisA at four noise ratios, one seed: encoding every
image once, distances among all images of a category that are ever trained on, and training at every ratio.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.distances import block_distances
from harness.experiment.preparation import encode_dataset
from harness.features.encoding import encode
from harness.runtime.compute import DistributedContext, InProcess, default_device, single_threaded
from harness.training import run_phase
from harness.training.phases import NetworkLoss, Phase
from sweeps.profiles.contract import Profile
from sweeps.profiles.local import SMOKE
from sweeps.profiles.paper import MVTEC_AD, VISA
from tests.bench.support.timing import median_step

ON_REQUEST = True
STEPS = 40
WARM_UP = 10
COMPARED = 16
"""Images that are compared with one another."""


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    encoder = replace(MVTEC_AD.encoder, weights="random")
    data, cache = Path("cache") / f"{SMOKE.dataset.name}-{SMOKE.name}", Path("cache")
    with single_threaded():
        prepared = encode_dataset(
            SMOKE.dataset, encoder, data=data, cache=cache, compute=InProcess()
        )
        files = [data / image for image in prepared.samples["image"]][:64]
        encode(encoder, files[:1])
        images = len(files) / _seconds(lambda: encode(encoder, files))
        features_NPC = next(iter(prepared.features.values())).memory_NPC[:COMPARED]
        # As many images as in a block of a table; one core would take a minute for them.
        repeated = np.tile(features_NPC, (4 if default_device().type == "cuda" else 1, 1, 1))
        pairs = len(repeated) * (len(repeated) + 1) / 2
        pairs /= min(_seconds(lambda: _compare(repeated)) for _ in range(3))
        ends: list[float] = []
        phase = Phase(
            network=MVTEC_AD.meds.network,
            images=prepared.images(prepared.samples),
            training=replace(MVTEC_AD.meds.finetuning, steps=STEPS),
            objective=NetworkLoss(),
        )
        run_phase(
            DistributedContext(default_device(), lambda *_: ends.append(time.perf_counter())), phase
        )
    steps = 1 / median_step(ends, warm_up=WARM_UP)
    rates = {"images/s encoded": images, "pairs of images/s": pairs, "steps/s": steps}
    device = default_device()
    where = torch.cuda.get_device_name() if device.type == "cuda" else "one CPU core"
    rows = [{"what": f"{name}, {where}", "value": rate} for name, rate in rates.items()]
    for profile in (MVTEC_AD, VISA):
        hours = _hours(profile, images, pairs, steps)
        rows.append({"what": f"MeDS on {profile.name}, hours, {where}", "value": hours})
    return rows


def _compare(features_NPC: np.ndarray) -> None:
    block_distances(features_NPC, features_NPC, distance=MVTEC_AD.meds.memory.distance, both=True)


def _hours(profile: Profile, images: float, pairs: float, steps: float) -> float:
    expected = list(profile.dataset.expected.values())
    counts = [train for train, _, _ in expected]
    largest = [count * (1 + max(profile.noise_ratios)) for count in counts]
    compared = sum(count * (count + 1) / 2 for count in largest)
    trained = profile.meds.distillation.steps + profile.meds.finetuning.steps
    seconds = sum(map(sum, expected)) / images + compared / pairs
    return (seconds + len(profile.noise_ratios) * trained / steps) / 3600


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
