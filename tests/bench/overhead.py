"""What a study adds to its work: 24 memories of different size on 40 small images, with all features there already.

The work is every experiment alone, one after the other on one core; the study runs them through Ray and MLflow on all
cores. What it takes longer than the work divided among the cores, Ray's start and the last write included, is overhead.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from harness.cluster.options import ClusterOptions
from harness.cluster.session import session
from harness.cluster.study import run_study
from harness.datasets.textures import Textures
from harness.detectors import MemoryDetector
from harness.experiment import Experiment, prepare, run_prepared
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble
from harness.runtime.compute import InProcess, single_threaded

COUNT = 24


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    trivial = Experiment(
        dataset=Textures(train=8, good=4, defective=8),
        encoder=Encoder(image_size=128),
        detector=MemoryDetector(),
    )
    experiments = [
        replace(trivial, detector=MemoryDetector(memory=MemoryEnsemble(ratio=number / COUNT)))
        for number in range(1, COUNT + 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        data, cache, runs = (Path(folder) / name for name in ("data", "cache", "runs"))
        prepared = prepare(experiments, data=data, cache=cache, compute=InProcess())
        with single_threaded():
            work = 0.0
            for experiment in experiments:
                work += run_prepared(
                    experiment, prepared[experiment.key], data=data, compute=InProcess()
                ).seconds
        start = time.perf_counter()
        with session():
            ray.cluster_resources()
        ray_alone = time.perf_counter() - start
        start = time.perf_counter()
        where = ClusterOptions(cache=cache, runs=runs)
        summary = run_study("overhead", "bench", experiments, data=data, where=where)
        study = time.perf_counter() - start
    assert summary.finished == COUNT
    overhead = study - work / (os.cpu_count() or 1)
    return [
        {"what": "work, one core", "seconds": work, "per experiment, s": work / COUNT},
        {"what": "study", "seconds": study, "per experiment, s": study / COUNT},
        {"what": "overhead", "seconds": overhead, "per experiment, s": overhead / COUNT},
        {"what": "Ray's start and stop alone", "seconds": ray_alone, "per experiment, s": None},
    ]
