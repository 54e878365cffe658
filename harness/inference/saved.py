"""The folder of a fitted detector: settings as JSON, arrays as safetensors, and a card.

`detector.json` holds all settings, and the SHA-256 of the arrays. `arrays.safetensors` holds weights, banks and
features. `encoder.safetensors` holds the encoder's weights if they came from a torch file, so that no pickle is read.
Other encoders are named with the digest of their weights. `MLmodel` is for MLflow alone, and `load` ignores it. A
folder is written completely or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

from harness.config.file_ref import FileRef, file_ref
from harness.config.serialization import from_dict, to_dict
from harness.errors import InputError
from harness.features.backbone import read_encoder_weights
from harness.features.encoder import Encoder
from harness.features.encoding import encoder_digest
from harness.inference.detector import FittedDetector, Threshold

FORMAT = 1
"""Version of the folder's format."""
SETTINGS, ARRAYS, ENCODER, CARD, MLMODEL = (
    "detector.json",
    "arrays.safetensors",
    "encoder.safetensors",
    "README.md",
    "MLmodel",
)
OUTPUTS = {"image": "string", "score": "double", "is_anomalous": "boolean", "threshold": "double"}
"""Columns of the table that a detector returns to MLflow, with MLflow's names of their types."""
FIT_AGAIN = "Fit the detector again: python -m harness fit FOLDER --out DETECTOR."


def save(fitted: FittedDetector, folder: Path, *, card: str) -> None:
    """Write a fitted detector to a new folder.

    Args:
        fitted: Fitted detector.
        folder: New folder.
        card: Text of the folder's README.md.

    Raises:
        OSError: the folder cannot be written; no half-written folder remains.
    """
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        arrays = {name: np.ascontiguousarray(each) for name, each in fitted.scorer.arrays.items()}
        save_file(arrays, draft / ARRAYS)
        if fitted.encoder.features and _is_in_a_file(fitted.encoder):
            tensors = read_encoder_weights(fitted.encoder)
            save_tensors(
                {name: each.contiguous() for name, each in tensors.items()}, draft / ENCODER
            )
        (draft / CARD).write_text(card, encoding="utf-8")
        (draft / MLMODEL).write_text(_mlmodel(), encoding="utf-8")
        for file in draft.iterdir():  # safetensors lets nobody else read its files
            file.chmod((draft / CARD).stat().st_mode)
        digests = {
            name: _sha256(draft / name) for name in (ARRAYS, ENCODER) if (draft / name).is_file()
        }
        record = _record(fitted) | {"files": digests}
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        (draft / SETTINGS).write_text(text, encoding="utf-8")
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def load(folder: str | Path) -> FittedDetector:
    """Return the fitted detector in a folder that `python -m harness fit` wrote.

    Nothing in the folder can run code: settings name components of this version only, and arrays hold numbers.

    Raises:
        InputError: the folder is incomplete, damaged or of another version, or the encoder has other weights now.
    """
    place = Path(folder)
    record = _read_record(place / SETTINGS)
    try:
        fitted = _restored(place, record)
    except InputError:
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        raise InputError(
            f"{place.absolute()} holds no usable detector ({type(error).__name__}: {error}). {FIT_AGAIN}"
        ) from error
    if encoder_digest(fitted.encoder) != record["encoder_digest"]:
        raise InputError(
            f"The encoder {fitted.encoder.name} has other weights here than when the detector in {place.absolute()} "
            f"was fitted. Restore the weights, or fit again. {FIT_AGAIN}"
        )
    return fitted


def _restored(folder: Path, record: Mapping[str, Any]) -> FittedDetector:
    files = {ARRAYS: record["files"][ARRAYS], **record["files"]}
    for name, digest in files.items():
        _check(folder, name, digest)
    detector, encoder = from_dict(record["detector"]), from_dict(record["encoder"])
    if not isinstance(encoder, Encoder):
        raise TypeError(f"the encoder is a {type(encoder).__name__}")
    if ENCODER in files:
        encoder = dataclasses.replace(encoder, weights=file_ref(folder / ENCODER))
    return FittedDetector(
        detector=detector,
        encoder=encoder,
        scorer=detector.restore(load_file(folder / ARRAYS)),
        maps=from_dict(record["maps"]),
        size=int(record["size"]),
        thresholds=tuple(Threshold(**each) for each in record["thresholds"]),
        white=record["white"],
        about=record["about"],
    )


def _is_in_a_file(encoder: Encoder) -> bool:
    return isinstance(encoder.weights, FileRef) or encoder.weights == "package"


def _record(fitted: FittedDetector) -> dict[str, Any]:
    """Return the settings of a fitted detector as plain data."""
    return {
        "format": FORMAT,
        "detector": to_dict(fitted.detector),
        "encoder": to_dict(fitted.encoder),
        "encoder_digest": encoder_digest(fitted.encoder),
        "maps": to_dict(fitted.maps),
        "size": fitted.size,
        "white": fitted.white,
        "thresholds": [dataclasses.asdict(each) for each in fitted.thresholds],
        "about": dict(fitted.about),
    }


def _mlmodel() -> str:
    """Return the text of the file MLmodel, which names the module that loads the folder for `mlflow.pyfunc`.

    It states no inputs, since MLflow would refuse either lists or tables of images then.
    """
    outputs = [{"name": name, "type": kind} for name, kind in OUTPUTS.items()]
    return (
        "flavors:\n"
        "  python_function:\n"
        "    loader_module: harness.inference.mlflow_model\n"
        f"    python_version: {platform.python_version()}\n"
        f"mlflow_version: {metadata.version('mlflow')}\n"
        "signature:\n"
        f"  outputs: '{json.dumps(outputs)}'\n"
    )


def _read_record(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise InputError(
            f"{file.parent.absolute()} is no fitted detector: it has no file {SETTINGS}. Give a folder that "
            "python -m harness fit wrote."
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version = record["format"]
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise InputError(f"{file.absolute()} cannot be read ({error}). {FIT_AGAIN}") from error
    if version != FORMAT:
        raise InputError(
            f"{file.absolute()} has the format {version!r}, but this version reads the format {FORMAT}. {FIT_AGAIN}"
        )
    return record


def _check(folder: Path, name: str, digest: str) -> None:
    """Raise an error unless a file of the folder has its digest."""
    file = folder / name
    if name not in (ARRAYS, ENCODER) or not file.is_file() or _sha256(file) != digest:
        raise InputError(
            f"{file.absolute()} is missing or has changed since the detector was written. Copy the whole folder again, "
            f"or fit again. {FIT_AGAIN}"
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
