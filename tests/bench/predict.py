"""Milliseconds per new image and peak memory of a fitted detector, from its folder: `harness.inference`.

A photograph of 1,024 x 768 pixels is read from a JPEG file, encoded by the shipped encoder at 256 pixels, and scored,
on one CPU thread or the GPU. The memory holds the features of as many images as the table says. The network is the
small Dinomaly of `fit --method plain`. Weights and features are random or hardly trained, as time does not depend on
them.
Every detector runs in a process of its own. The peak is the largest resident memory of this process, in MB; `import`
is the peak after the imports alone, which every detector shares. The memory is read from Linux's /proc.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from harness.config.versions import ROOT
from harness.detectors.laptop import MEMORY, PLAIN
from harness.features import ImageSet
from harness.features.encoder import Encoder
from harness.features.encoding import encode
from harness.inference.detector import FittedDetector, Threshold
from harness.inference.saved import save
from harness.runtime.compute import InProcess

SIZES = (300, 3000)
"""Numbers of training images of the memories."""
ROUNDS = 20
MEASURE = """
import json, re, statistics, sys, time
from pathlib import Path
from harness.inference import load
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
folder, image, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
imported, start = peak(), time.perf_counter()
detector = load(folder)
loaded = time.perf_counter()
detector.predict(image)
first = time.perf_counter()
seconds = []
for _ in range(rounds):
    before = time.perf_counter()
    detector.predict(image)
    seconds.append(time.perf_counter() - before)
before = time.perf_counter()
list(detector.predict_many([image] * rounds))
many = (time.perf_counter() - before) / rounds
print(json.dumps({
    "load s": loaded - start,
    "first ms": 1000 * (first - loaded),
    "predict ms": 1000 * statistics.median(seconds),
    "predict_many ms": 1000 * many,
    "import MB": imported,
    "peak MB": peak(),
}))
"""


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        image = place / "photograph.jpg"
        smooth = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        smooth.resize((1024, 768), Image.Resampling.BICUBIC).save(image)
        encoded = encode(Encoder(), [image] * 2)
        for count in SIZES:
            shape = count, *encoded.memory_NPC.shape[1:]
            random_NPC = rng.standard_normal(shape, dtype=np.float32)
            random_NPC /= np.linalg.norm(random_NPC, axis=2, keepdims=True)
            scorer = MEMORY.restore({"0/bank": random_NPC.astype(np.float16)})
            rows.append(
                _row(f"memory of {count} images", MEMORY, scorer, place / f"{count}", image)
            )
        plain = replace(PLAIN, training=replace(PLAIN.training, steps=1))
        scorer = plain.fit(ImageSet.held(encoded), seed=0, compute=InProcess())
        rows.append(_row("small Dinomaly", plain, scorer, place / "network", image))
    return rows


def _row(what: str, detector: Any, scorer: Any, folder: Path, image: Path) -> dict[str, Any]:
    """Save a detector and measure it in a process of its own."""
    thresholds = (Threshold("any", 0.5, "Number."),)
    save(
        FittedDetector(detector, Encoder(), scorer, detector.maps, 256, thresholds), folder, card=""
    )
    arguments = [sys.executable, "-c", MEASURE, str(folder), str(image), str(ROUNDS)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=ROOT)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return {"what": what, **json.loads(done.stdout), "folder MB": size}
