"""A training step on cached features beside one that encodes its images, and what a selection pass costs.

On one CPU thread, as every experiment trains, or on the GPU. The share of the peak is of the best matrix-product rate
that torch reaches on as many threads; operations are those that torch counts in the products of a step.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.detectors.reconstruction import NetworkScorer
from harness.experiment.preparation import encode_dataset
from harness.features.encoding import encode
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import DistributedContext, InProcess, default_device, single_threaded
from harness.training import TrainingResult, build, patch_scores, run_phase, state_of
from harness.training.batches import read_batch
from harness.training.phases import DistillationLoss, NetworkLoss, Phase, ProgressiveSelector
from harness.training.scoring import forward_precision
from sweeps.profiles.local import LAPTOP
from tests.bench.support.timing import INNER_SIZES, median_step, sustained_rate

STEPS = 24


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    compute, cache = InProcess(), Path("cache")
    data = cache / f"{LAPTOP.dataset.name}-{LAPTOP.name}"
    prepared = encode_dataset(
        LAPTOP.dataset, LAPTOP.encoder, data=data, cache=cache, compute=compute
    )
    train = prepared.samples[prepared.samples["split"] == "train"]
    images = prepared.images(train)
    files = [data / image for image in train["image"].iloc[: LAPTOP.meds.finetuning.batch_size]]
    with single_threaded():
        encoding = min(_seconds(lambda: encode(LAPTOP.encoder, files)) for _ in range(3))
        peak = max(map(sustained_rate, INNER_SIZES))
        small = LAPTOP.meds.network
        large = replace(small, width=256, depth=8, heads=4)
        inp = InpFormer(width=256, depth=8, heads=4)
        networks = {
            "laptop's Dinomaly": small,
            "Dinomaly, width 256": large,
            "INP-Former, width 256": inp,
        }
        rows = []
        for name, network in networks.items():
            rows += _rows(name, network, images, encoding, peak)
    return rows


def _rows(
    name: str, network: Any, images: Any, encoding: float, peak: float
) -> list[dict[str, Any]]:
    training = replace(LAPTOP.meds.finetuning, steps=STEPS)
    made = build(network, images).to(default_device())
    scores = patch_scores(made, images)
    phases = {
        "distillation": Phase(
            network=network, images=images, training=training, objective=DistillationLoss(scores)
        ),
        "fine-tuning": Phase(
            network=network,
            images=images,
            training=training,
            objective=NetworkLoss(),
            selector=ProgressiveSelector(scores),
        ),
    }
    rows = []
    for stage, phase in phases.items():
        step = _step_seconds(phase)
        share = _operations(made, phase) / step / peak
        for source, seconds in (("cached", step), ("encoded on the fly", step + encoding)):
            row = {"what": f"{name}, {stage}, {source}", "steps/s": 1 / seconds}
            row["images/s"] = training.batch_size / seconds
            row["relative to cached"] = seconds / step
            rows.append(row | ({"of peak": share} if source == "cached" else {}))
    scorer = NetworkScorer(network, {"": _trained(made)})
    pass_seconds = min(_seconds(lambda: scorer.score(images)) for _ in range(3))
    rows.append({"what": f"{name}, selection pass", "images/s": len(images) / pass_seconds})
    return rows


def _trained(network: torch.nn.Module) -> Any:
    return TrainingResult(state_of(network), np.zeros(0))


def _step_seconds(phase: Phase) -> float:
    """Median time of a step; the first ones, and those that a selection comes before, stand out of it."""
    ends: list[float] = []
    run_phase(
        DistributedContext(default_device(), lambda *_: ends.append(time.perf_counter())), phase
    )
    return median_step(ends, warm_up=4)


def _operations(network: torch.nn.Module, phase: Phase) -> float:
    """Floating-point operations in the products of one step, forward and backward."""
    rows_B = np.arange(phase.training.batch_size)
    batch = read_batch(phase.images, rows_B, default_device())
    with FlopCounterMode(display=False) as counter, forward_precision(network):
        phase.objective.loss(network, network.train()(batch), rows_B, 0).backward()
    return counter.get_total_flops()


def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
