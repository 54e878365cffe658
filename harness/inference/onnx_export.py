"""Fitted detectors as ONNX files, which other programs run without this harness, Python or torch.

Everything after the resizing of an image is inside the file: normalisation, encoder, method, map and image score.
Pillow's antialiased resizing has no exact equivalent in ONNX, so it stays outside; the file's metadata describes it.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from harness.detectors import HasGraph, Scorer
from harness.errors import InputError
from harness.features.encoding import encoder_digest
from harness.features.tensors import FeatureTensors
from harness.inference.detector import FittedDetector
from harness.inference.graph import DetectorGraph, EncoderGraph, MapGraph
from harness.networks import FeatureShapes

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Packages of the extra `onnx`, which the harness itself does not need."""
OPSET = 23
"""Version of ONNX's operators in a file, the newest that torch 2.13 writes."""
TOLERANCE = 1e-4
"""Largest allowed difference from the Python scores, relative to the largest score where this exceeds 1."""
MOST_BYTES = 2**31 - 2**24
"""Largest size of all weights in bytes; a file of ONNX holds 2 GiB."""


def require_packages() -> None:
    """Check that the packages of the extra `onnx` are installed.

    Raises:
        InputError: a package is missing.
    """
    if missing := [name for name in PACKAGES if util.find_spec(name) is None]:
        raise InputError(
            f"Exporting a detector needs {', '.join(missing)}, which this environment lacks. Install the extra: "
            "pip install --constraint requirements/lock.txt --editable '.[cpu,onnx]'."
        )


def export_onnx(fitted: FittedDetector, file: Path) -> float:
    """Write a detector as an ONNX file, completely or not at all, and check it with onnxruntime.

    Args:
        fitted: Detector to export.
        file: Path of the new file; an existing file is replaced.

    Returns:
        Largest difference from the Python scores and maps, see `difference`.

    Raises:
        InputError: a package is missing, the detector cannot be exported, or the check fails.
    """
    require_packages()
    program = _program(detector_graph(fitted), fitted.encoder.image_size)
    _describe(program, fitted)
    draft = file.with_name(f"{file.name}.draft")
    try:
        draft.write_bytes(program.SerializeToString())
        found = difference(draft, fitted, probes(fitted.encoder.image_size))
        if not found <= TOLERANCE:
            raise InputError(
                f"The exported {fitted.detector.title} differs from the Python scores by {found:.2g}, more than "
                f"{TOLERANCE:g}, so the file was not kept. This is a fault of the export: please report it with the "
                "detector's settings."
            )
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return found


def difference(file: Path, fitted: FittedDetector, images: list[np.ndarray]) -> float:
    """Return the largest difference of an ONNX file's scores and maps from those of `FittedDetector.predict`.

    Differences are relative to the largest absolute value in Python, or absolute if this value is below 1.

    Args:
        file: ONNX file.
        fitted: Detector from which the file was written.
        images: Images, uint8 [image_size, image_size, 3]; they form one batch.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found = session.run(["map", "score"], {"image": np.stack(images)})
    predictions = list(fitted.predict_many(images, threshold=0.0))
    expected = (
        np.stack([prediction.map_HW for prediction in predictions]),
        np.array([prediction.score for prediction in predictions]),
    )
    return max(
        float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))
        for a, b in zip(found, expected, strict=True)
    )


def probes(size: int) -> list[np.ndarray]:
    """Return three drawn images, uint8 [size, size, 3], always the same: smooth colours with some grain."""
    rng = np.random.default_rng(0)
    images = []
    for side in (4, 8, 16):
        coarse = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC)).astype(int)
        grain = rng.integers(-8, 9, smooth.shape)
        images.append((smooth + grain).clip(0, 255).astype(np.uint8))
    return images


def detector_graph(fitted: FittedDetector) -> DetectorGraph:
    """Return the detector as a module that has run once.

    The run fills the caches of constant matrices. A cache that is filled while torch records the module would keep
    tensors without values.

    Raises:
        InputError: the detector cannot be exported.
    """
    scorer: Scorer = fitted.scorer
    if not isinstance(scorer, HasGraph):
        raise InputError(
            f"A detector of the method {fitted.detector.title} cannot be exported to ONNX: {type(scorer).__name__} "
            "compares an image with all training images. Networks (plain, meds, uniad, reverse_distillation), "
            "efficient_ad, ad2, patchcore, softpatch and fun_ad can be exported. Fit one of these, for example with "
            "`python -m harness fit FOLDER --method patchcore`, or score images with `python -m harness predict`."
        )
    with torch.no_grad():
        encoder = EncoderGraph(fitted.encoder).eval()
        size = fitted.encoder.image_size
        features = encoder(torch.from_numpy(np.stack(probes(size)[:1])))
        patches = scorer.graph(_shapes(features)).eval()
        maps = MapGraph(
            fitted.maps,
            patches=patches(features).shape[1],
            input_size=fitted.encoder.input_size,
            size=fitted.size,
        )
        graph = DetectorGraph(encoder, patches, maps).requires_grad_(False)
    weights = sum(each.nbytes for each in (*graph.parameters(), *graph.buffers()))
    if weights > MOST_BYTES:
        raise InputError(
            f"The weights of this detector take {weights / 2**30:.1f} GiB, but a file of ONNX holds 2 GiB. Fit it "
            "with a smaller coreset, network or encoder."
        )
    return graph


def _shapes(features: FeatureTensors) -> FeatureShapes:
    channels = tuple(group.shape[-1] for group in features.targets)
    grid = features.targets[0] if features.targets else features.memory_BPC
    return FeatureShapes(channels=channels, patches=grid.shape[1], categories=1)


def _program(graph: nn.Module, size: int) -> onnx.ModelProto:
    """Translate a module from images [B, size, size, 3] to ONNX; the number B of images is free."""
    examples = torch.from_numpy(np.stack(probes(size)[:2]))
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            graph,
            (examples,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["map", "score"],
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=4096)}},
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what torch and its translator report about their own inner workings."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    # The short cut for attention in evaluation has no translation; the long way has the same results.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _describe(program: onnx.ModelProto, fitted: FittedDetector) -> None:
    """Write the model card into the metadata of a program."""
    from onnx import helper

    card = model_card(fitted)
    helper.set_model_props(program, card)
    program.producer_name, program.producer_version = "meds-bench", metadata.version("meds-bench")
    program.doc_string = f"{card['detector_title']}: anomaly maps and image scores of images."
    program.graph.name = fitted.detector.name
    for value in (*program.graph.input, *program.graph.output):
        value.doc_string = card[value.name]


def model_card(fitted: FittedDetector) -> dict[str, str]:
    """Return what a user of the ONNX file must know, by name; thresholds and versions are JSON."""
    encoder, size = fitted.encoder, fitted.encoder.image_size
    part = "the image"
    if encoder.input_size < size:
        part = f"the middle {encoder.input_size} x {encoder.input_size} pixels of the resized image"
    thresholds: list[dict[str, Any]] = [
        {"name": each.name, "value": each.value, "meaning": each.meaning}
        for each in fitted.thresholds
    ]
    versions = {name: metadata.version(name) for name in ("meds-bench", "torch", "timm", "onnx")}
    return {
        "detector": fitted.detector.name,
        "detector_title": fitted.detector.title,
        "encoder": f"{encoder.name}, digest {encoder_digest(encoder)}",
        "image": (
            f"Images, uint8 [batch, {size}, {size}, 3], red, green and blue from 0 to 255. Normalisation is inside the "
            "file. See `preparation`."
        ),
        "map": (
            f"Anomaly maps, float32 [batch, {fitted.size}, {fitted.size}], of {part}; a higher value is more "
            "anomalous."
        ),
        "score": "Image scores, float32 [batch]; a higher score is more anomalous. Compare it with a threshold.",
        "preparation": (
            f"Decode to 8-bit RGB, turn as the EXIF tag says, and resize to {size} x {size} pixels without keeping "
            "the aspect ratio, bilinear and antialiased, as Pillow's `image.convert('RGB').resize(("
            f"{size}, {size}), Image.Resampling.BILINEAR)` does. Other resizing changes the scores."
        ),
        "thresholds": json.dumps(thresholds),
        "white": "" if fitted.white is None else f"{fitted.white:g}",
        "versions": json.dumps(versions),
    }
