"""Rates of the encoder and of training on one GPU, for `make bench ARGS=gpu`; importing this needs no GPU.

Every rate stands beside the released way: an image is read, encoded and fetched before the next one is read, and a
training step encodes its images and waits for its loss.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from harness.features import Encoder, ImageSet, encode
from harness.features.backbone import load_model
from harness.features.encoding import Encoded
from harness.features.tensors import encode_tensors
from harness.runtime.compute import DistributedContext, default_device, exact_convolutions
from harness.training import run_phase, shapes_of
from harness.training.batches import read_batch
from harness.training.optimizer import make_optimizer
from harness.training.phases import NetworkLoss, Phase
from harness.training.scoring import forward_precision
from sweeps.profiles.paper import MVTEC_AD

Row = dict[str, Any]
SIDE = 1024
"""Pixels per side of the photographs, as in MVTec AD."""
PHOTOGRAPHS = 192
TOGETHER = 32
BATCHES = 24
"""Batches of the encoder alone."""
STEPS, WARM_UP, BATCH = 240, 40, 16
"""Training steps; the first ones include compilation and are not counted."""
RELEASED = 12
"""Steps or images of the released way."""
STEP_OPERATIONS = 4.6e12
"""Floating-point operations of a step of Dinomaly of its published size, batch 16."""
IMAGE_OPERATIONS = 0.16e12
"""Floating-point operations of ViT-B/14 for an image of 392 pixels."""
ENCODER = replace(MVTEC_AD.encoder, weights="random")


def photographs(folder: Path, count: int) -> list[Path]:
    """Write PNG files that compress as photographs do: smooth shapes with the noise of a sensor."""
    rng = np.random.default_rng(0)
    small = rng.integers(40, 215, (24, 24, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    files = []
    for i in range(min(count, 8)):
        noise = rng.normal(0, 3, smooth.shape)
        pixels = np.clip(np.roll(smooth, 97 * i, axis=1) + noise, 0, 255).astype(np.uint8)
        files.append(folder / f"{i}.png")
        Image.fromarray(pixels).save(files[-1])
    return [files[i % len(files)] for i in range(count)]


def from_files() -> Sequence[Row]:
    """Images per second from PNG files of 1,024 pixels to features, in both precisions and as released."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        files = photographs(Path(folder), PHOTOGRAPHS)
        for precision in ("half", "single"):
            encoder = replace(ENCODER, precision=precision)
            encode(encoder, files[:TOGETHER])
            seconds = _seconds(lambda chosen=encoder: encode(chosen, files))
            rows.append(_row(f"PNG files encoded, {precision}", len(files) / seconds, "images/s"))
        seconds = _seconds(lambda: [encode(ENCODER, [file]) for file in files[:RELEASED]])
        rows.append(_row("PNG files encoded one by one", RELEASED / seconds, "images/s"))
        seconds = _seconds(lambda: [ENCODER.read(file) for file in files[:RELEASED]])
        rows.append(_row("PNG files decoded by one core", RELEASED / seconds, "images/s"))
    return rows


def encoder_alone() -> Sequence[Row]:
    """Images per second of the encoder without decoding, with the rate of operations that this is."""
    rows, device = [], default_device()
    side = ENCODER.input_size
    pixels = torch.randint(0, 255, (TOGETHER, 3, side, side), dtype=torch.uint8, device=device)
    for precision in ("half", "single"):
        encoder = replace(ENCODER, precision=precision)
        model = load_model(encoder)

        def batch(encoder: Encoder = encoder, model: Any = model) -> None:
            with torch.no_grad(), exact_convolutions():
                encode_tensors(encoder, model, pixels)

        rate = TOGETHER / _seconds_of_many(batch, BATCHES)
        rows.append(_row(f"encoder alone, {precision}", rate, "images/s"))
        operations = rate * IMAGE_OPERATIONS / 1e12
        rows.append(_row(f"encoder alone, {precision}", operations, "TFLOP/s"))
    return rows


def training() -> Sequence[Row]:
    """Steps per second of Dinomaly of its published size at batch 16, and of a step as released."""
    images = _random_images(96)
    phase = Phase(
        network=MVTEC_AD.meds.network,
        images=images,
        training=replace(MVTEC_AD.meds.finetuning, steps=STEPS, batch_size=BATCH),
        objective=NetworkLoss(),
    )
    ends: list[float] = []
    run_phase(
        DistributedContext(default_device(), lambda *_: ends.append(time.perf_counter())), phase
    )
    rate = (STEPS - WARM_UP) / (ends[-1] - ends[WARM_UP - 1])
    released = 1 / _released_step(phase)
    return [
        _row("Dinomaly, batch 16", rate, "steps/s"),
        _row("Dinomaly, batch 16", rate * STEP_OPERATIONS / 1e12, "TFLOP/s"),
        _row("Dinomaly, batch 16, images encoded in every step", released, "steps/s"),
    ]


def _released_step(phase: Phase) -> float:
    """Return the seconds of a step that encodes its images, updates every weight alone and waits for its loss."""
    device = default_device()
    network: Any = phase.network.build(shapes_of(phase.images)).to(device).train()
    model, side = load_model(ENCODER), ENCODER.input_size
    optimizer = make_optimizer(network.parameters(), phase.training)
    pixels = torch.randint(0, 255, (BATCH, 3, side, side), dtype=torch.uint8, device=device)
    rows = np.arange(BATCH)

    def step() -> None:
        with torch.no_grad(), exact_convolutions():
            encode_tensors(ENCODER, model, pixels)
        batch = read_batch(phase.images, rows, device)
        with forward_precision(network):
            rebuilt = network(batch)
        loss = phase.objective.loss(network, rebuilt, rows, 0)
        loss.item()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
        optimizer.step()

    return _seconds_of_many(step, RELEASED)


def _random_images(count: int) -> ImageSet:
    """Return random features of the shapes that the encoder gives."""
    rng = np.random.default_rng(0)
    patches, channels = (ENCODER.input_size // 14) ** 2, 768
    targets = tuple(
        rng.standard_normal((count, patches, channels), dtype=np.float32).astype(np.float16)
        for _ in ENCODER.groups
    )
    prefix_NTC = rng.standard_normal((count, 5, channels), dtype=np.float32).astype(np.float16)
    return ImageSet.held(Encoded(targets[0], targets, prefix_NTC))


def _seconds_of_many(call: Callable[[], Any], count: int) -> float:
    """Return the seconds per call, after a few calls as warm-up."""
    for _ in range(3):
        call()
    return _seconds(lambda: [call() for _ in range(count)]) / count


def _seconds(call: Callable[[], Any]) -> float:
    _wait()
    start = time.perf_counter()
    call()
    _wait()
    return time.perf_counter() - start


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _row(what: str, value: float, unit: str) -> Row:
    return {"what": what, "value": float(value), "unit": unit}


RATES: tuple[Callable[[], Sequence[Row]], ...] = (encoder_alone, from_files, training)
"""Measurements, one after the other."""
