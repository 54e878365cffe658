"""PatchCore beside anomalib's, from image files to image scores (only when asked for).

The same images (magnetic tiles if MEDS_MAGNETIC_TILE names their folder, else textures of one category), network,
modules, features of them, input size and share of patches kept; anomalib has its own defaults otherwise. It is
installed for this into a temporary environment that sees the packages of this one, and has all cores; ours has two Ray
actors of one thread each that have started. Memory is the largest sum of the resident sizes of a process and all below
it, Ray's included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from baselines.patchcore import PatchCore
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import session
from harness.datasets import GOOD, Dataset
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.textures import Textures
from harness.experiment.preparation import read_dataset
from harness.features import CategoryImages, FeatureStore, ImageSet
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.patch_features import LocallyAware
from harness.metrics import image_auroc
from tests.bench.support.large import PeakMemory

ON_REQUEST = True
VERSION = "2.7.0"
MODULES = ("blocks.2", "blocks.4")
RATIO = 0.001
"""Share of the patches that is kept; of a hundredth anomalib would pick for an hour, of a tenth for many."""
BATCH = 32
"""Images in a batch of anomalib, its default."""
ENCODER = Encoder(memory=LocallyAware(modules=MODULES, level_dimensions=None))


@dataclass(frozen=True)
class Task:
    """Images of one category."""

    train: pd.DataFrame
    test: pd.DataFrame
    data: Path

    def files(self, samples: pd.DataFrame) -> list[Path]:
        """Where the images of some samples are."""
        return [self.data / image for image in samples["image"]]


def run() -> list[dict[str, Any]]:
    """Measure both; return the rows of the table."""
    dataset: Dataset = Textures()
    data = Path("cache/textures")
    if folder := os.environ.get("MEDS_MAGNETIC_TILE"):
        dataset, data = MagneticTile(), Path(folder)
    samples, _ = read_dataset(dataset, data, Path("cache"))
    samples = samples[samples["category"] == min(samples["category"])]
    task = Task(*(samples[samples["split"] == part] for part in ("train", "test")), data)
    with tempfile.TemporaryDirectory() as scratch:
        measured = {"ours": _ours, f"anomalib {VERSION}": _theirs}
        rows = [
            {"what": name, **measure(task, Path(scratch))} for name, measure in measured.items()
        ]
    for row in rows:
        row["ours is faster"] = row["fit and score, s"] / rows[0]["fit and score, s"]
    return rows


def _row(task: Task, seconds: np.ndarray, scores_N: np.ndarray, gigabytes: float) -> dict[str, Any]:
    anomalous_N = (task.test["defect"] != GOOD).to_numpy()
    return {
        "fit, s": seconds[0],
        "score, s": seconds[1],
        "fit and score, s": seconds.sum(),
        "image AUROC": image_auroc(anomalous_N, scores_N),
        "peak GB": gigabytes,
    }


def _ours(task: Task, scratch: Path) -> dict[str, Any]:
    store = FeatureStore(scratch / "features")
    with PeakMemory() as peak, session(), start_pool(2) as pool:
        compute = RayCompute(scratch, pool=pool)
        list(compute.map(_start, range(2), label="starting"))

        def images(samples: pd.DataFrame) -> ImageSet:
            pairs = list(zip(samples["digest"], task.files(samples), strict=True))
            (features,) = store.fill(ENCODER, {"one": pairs}, compute=compute).values()
            return ImageSet((CategoryImages(features, np.arange(len(pairs))),))

        times = [time.perf_counter()]
        scorer = PatchCore(coreset_ratio=RATIO).fit(images(task.train), seed=0, compute=compute)
        times.append(time.perf_counter())
        scores_NP = scorer.score(images(task.test))
        times.append(time.perf_counter())
    return _row(task, np.diff(times), scores_NP.max(axis=1), peak.gigabytes)


def _start(number: int) -> None:
    load_model(ENCODER)


def _theirs(task: Task, scratch: Path) -> dict[str, Any]:
    """Install anomalib beside this environment's packages, and run `_anomalib` there."""
    environment = scratch / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    here = sysconfig.get_path("purelib")
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", "requirements/lock.txt"]
    subprocess.run([*pip, f"anomalib=={VERSION}"], check=True)
    job = scratch / "job.json"
    files = {"train": task.files(task.train), "test": task.files(task.test)}
    job.write_text(json.dumps({part: list(map(str, paths)) for part, paths in files.items()}))
    command = [python, "-m", "tests.bench.anomalib", job]
    with subprocess.Popen(command) as process, PeakMemory(process.pid) as peak:
        if process.wait():
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}")
    found = json.loads(job.read_text())
    return _row(task, np.array(found["seconds"]), np.array(found["scores"]), peak.gigabytes)


def _anomalib(job: Path) -> None:
    """Fit and score anomalib's PatchCore on the images of a job; put seconds and image scores in its place."""
    # Before anomalib is imported: this lets torchvision be imported beside a CPU build of torch.
    network = load_model(ENCODER)
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    mean, std = (torch.tensor(network.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    files = {part: list(map(Path, paths)) for part, paths in json.loads(job.read_text()).items()}

    def batches(part: str):
        for start in range(0, len(files[part]), BATCH):
            images = np.stack([ENCODER.read(file) for file in files[part][start : start + BATCH]])
            yield (torch.from_numpy(images) / 255 - mean) / std

    torch.manual_seed(0)
    model = PatchcoreModel(layers=list(MODULES), backbone=ENCODER.name, pre_trained=False)
    extractor = model.feature_extractor.feature_extractor
    if missing := extractor.load_state_dict(network.state_dict(), strict=False).missing_keys:
        raise RuntimeError(f"anomalib's extractor has weights of its own: {missing}")
    times = [time.perf_counter()]
    model.train()
    for batch in batches("train"):
        model(batch)
    model.subsample_embedding(RATIO)
    times.append(time.perf_counter())
    model.eval()
    with torch.inference_mode():
        scores_N = torch.cat([model(batch).pred_score.flatten() for batch in batches("test")])
    times.append(time.perf_counter())
    found = {"seconds": np.diff(times).tolist(), "scores": scores_N.tolist()}
    job.write_text(json.dumps(found))


if __name__ == "__main__":
    _anomalib(Path(sys.argv[1]))
