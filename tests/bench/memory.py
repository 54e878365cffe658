"""The memory stage: a loop over memories, FAISS per memory, and one pass, exact and fast, on the same features.

(a) is what the published release does: per memory and training image one product, its minimum, and the mean over
memories. Its time is measured on a part of the images and multiplied up; so is that of (b). Everything else is measured
whole, from features on disk to scores on disk, on Ray actors of one thread each that have started; (a) and (b) have the
whole machine. (a), exact and fast on two actors are measured five times in turn: medians, and of ratios the median over
rounds. The rest is measured once. The peak is the best rate of products, over inner sizes, that the same actors keep up
for a second each, right before a pass and right after it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from scipy.stats import spearmanr

from harness.cluster.actor_pool import ActorPool
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.cluster.session import session
from harness.datasets import GOOD, Dataset
from harness.datasets.magnetic_tile import MagneticTile
from harness.datasets.textures import Textures
from harness.distances import image_distances
from harness.experiment.preparation import encode_dataset
from harness.features import CategoryFeatures
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble
from harness.memory.distance_tables import TableRequest, fill_tables
from harness.memory.scores import ScoreRequest, fill_scores
from harness.runtime.cache import EntryWriter, open_array
from harness.runtime.compute import Compute
from tests.bench.support.timing import INNER_SIZES, sustained_rate

IMAGES, NORMAL = 400, 300
RHO, BANKS = 0.1, 100
GRID_RHOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
GRID_NOISES, GRID_SEEDS = (0.0, 0.1, 0.2, 0.4), (0, 1, 2, 3)
Cell = tuple[np.ndarray, MemoryEnsemble]
"""Rows of the training images, and an ensemble of memories made of them."""
MEASURED_IMAGES = 8
"""Images that the loops are timed on."""
ROUNDS = 5
"""How often what is compared is measured, in turn."""
LOOP, FAISS = "(a) loop over memories", "(b) FAISS, flat index per memory"
EXACT, FAST = "ours, exact", "ours, fast"


def real_features(compute: Compute) -> np.ndarray:
    """Memory features [400, 256, 152] of 300 normal and 100 defective images, half precision.

    Of magnetic tiles if MEDS_MAGNETIC_TILE names their folder, else of drawn defects on photographs of bricks.
    """
    cache = Path("cache")
    dataset: Dataset = Textures(train=NORMAL, good=1, defective=IMAGES - NORMAL)
    data = cache / "textures-bench"
    if folder := os.environ.get("MEDS_MAGNETIC_TILE"):
        dataset, data = MagneticTile(), Path(folder)
    prepared = encode_dataset(dataset, Encoder(), data=data, cache=cache, compute=compute)
    samples = prepared.samples[prepared.samples["category"] == min(prepared.features)]
    normal = samples.loc[samples["split"] == "train", "row"][:NORMAL]
    defective = samples.loc[samples["defect"] != GOOD, "row"][: IMAGES - NORMAL]
    rows = np.concatenate([normal, defective])
    return prepared.features[min(prepared.features)].memory_NPC[rows]


def drawn_banks(memory: MemoryEnsemble) -> list[np.ndarray]:
    """Images of every bank, with those that were drawn twice; drawn as `harness.memory` says it draws them."""
    generators = (np.random.default_rng([memory.seed, b]) for b in range(BANKS))
    return [rng.choice(IMAGES, memory.draws(IMAGES)) for rng in generators]


def loop(features_NPC: np.ndarray, queries: int, memory: MemoryEnsemble) -> np.ndarray:
    """(a): scores [n, P] of the first images, product by product."""
    images = torch.from_numpy(features_NPC.astype(np.float32))
    scores = torch.zeros(queries, images.shape[1])
    for bank in drawn_banks(memory):
        flat = images[torch.from_numpy(bank)].flatten(0, 1)
        for i in range(queries):
            scores[i] += (1 - images[i] @ flat.T).min(dim=1).values.clamp(min=0)
    return (scores / BANKS).numpy()


def faiss_loop(features_NPC: np.ndarray, queries: int, memory: MemoryEnsemble) -> np.ndarray:
    """(b): the same through a flat FAISS index per memory."""
    images = features_NPC.astype(np.float32)
    asked = images[:queries].reshape(-1, images.shape[-1])
    scores = np.zeros(len(asked))
    for bank in drawn_banks(memory):
        index = faiss.IndexFlatIP(images.shape[-1])
        index.add(images[bank].reshape(-1, images.shape[-1]))
        scores += np.maximum(1 - index.search(asked, 1)[0][:, 0], 0)
    return (scores / BANKS).reshape(queries, -1)


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    """Time of a call and what it returns."""
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


@dataclass(frozen=True)
class Pass:
    """What one pass over a category took and gave."""

    table_seconds: float
    """Distances among all images, on disk."""
    seconds: float
    """The same and all scores."""
    scores_NP: np.ndarray
    """Against the first memory."""


def one_pass(features_NPC: np.ndarray, cells: list[Cell], compute: Compute) -> Pass:
    """Compute the scores of all images against all memories, in a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        draft = EntryWriter(Path(folder) / "features")
        draft.array("memory", features_NPC.shape, np.float16)[:] = features_NPC
        draft.publish()
        features, whole = CategoryFeatures(draft.target), np.arange(len(features_NPC))
        requests = [ScoreRequest(features, bank_M, memory) for bank_M, memory in cells]
        table = TableRequest(features, whole, "cosine", cells[0][1].precision)
        table_seconds, _ = seconds_of(lambda: fill_tables([table], compute=compute))
        score_seconds, _ = seconds_of(
            lambda: fill_scores(requests, compute=compute, candidates={features: whole})
        )
        scores_NP = np.array(open_array(requests[0].entry / "scores.npy"))
        return Pass(table_seconds, table_seconds + score_seconds, scores_NP)


def study_grid() -> list[Cell]:
    """7 rho x 4 noise ratios x 4 noise seeds, B = 100: what a study over the memory wants, of 400 images."""
    rng = np.random.default_rng(1)
    cells = []
    for noise, seed in itertools.product(GRID_NOISES, GRID_SEEDS):
        injected = rng.choice(np.arange(300, IMAGES), int(noise * 250), replace=False)
        bank_M = np.sort(np.concatenate([np.arange(300), injected]))
        cells += [(bank_M, MemoryEnsemble(ratio=rho, size=BANKS, seed=seed)) for rho in GRID_RHOS]
    return cells


def peak_of(pool: ActorPool, actors: int) -> float:
    """Best product rate, FLOP/s, over inner sizes, of all actors together: what torch reaches where a pass runs."""
    return max(sum(pool.results(sustained_rate, [inner] * actors)) for inner in INNER_SIZES)


def run() -> list[dict[str, Any]]:
    """Measure; return the rows of the table."""
    with session(), tempfile.TemporaryDirectory() as scratch:
        return _measure(Path(scratch))


def _measure(scratch: Path) -> list[dict[str, Any]]:
    with ready_pool(2) as pool:
        features_NPC = real_features(RayCompute(scratch, pool=pool))
    memory, whole = MemoryEnsemble(ratio=RHO, size=BANKS), np.arange(IMAGES)
    fast = dataclasses.replace(memory, precision="fast")
    measured = Measurement(features_NPC, scratch)
    scores: dict[str, np.ndarray] = {}
    for _ in range(ROUNDS):  # in turn, since the machine's speed changes under us
        scores["loop"] = measured.time(LOOP, lambda: loop(features_NPC, MEASURED_IMAGES, memory))
        for name, ensemble in ((EXACT, memory), (FAST, fast)):
            scores[name] = measured.one_pass(name, [(whole, ensemble)], actors=2)
    found = measured.time(FAISS, lambda: faiss_loop(features_NPC, MEASURED_IMAGES, memory))
    np.testing.assert_allclose(found, scores["loop"], atol=1e-5)
    for name, ensemble in ((EXACT, memory), (FAST, fast)):
        measured.one_pass(f"{name}, 1 actor", [(whole, ensemble)], actors=1)
    rows = [measured.row(name) for name in measured.seconds]
    rows[1] |= _errors(scores[EXACT][:MEASURED_IMAGES], scores["loop"])
    rows[2] |= _errors(scores[FAST], scores[EXACT])
    return rows + _measure_grid(measured)


def _measure_grid(measured: Measurement) -> list[dict[str, Any]]:
    """Rows of the study grid; the loop's time for it follows from that of one draw before one query image."""
    cells = study_grid()
    of_draw = measured.median(LOOP) / (IMAGES * RHO * IMAGES)
    by_loop = sum(of_draw * IMAGES * cell.draws(len(bank_M)) for bank_M, cell in cells)
    rows = [_row("(a) for the study grid", by_loop, by_loop)]
    for precision in ("exact", "fast"):
        wanted = [(bank, dataclasses.replace(cell, precision=precision)) for bank, cell in cells]
        name = f"ours, {precision}, the study grid"
        measured.one_pass(name, wanted, actors=2)
        rows.append(_row(name, measured.median(name), by_loop))
        rows[-1]["distances, s"] = measured.tables[name][0]
    return rows


class Measurement:
    """Times of everything, in the order of the rounds."""

    def __init__(self, features_NPC: np.ndarray, scratch: Path) -> None:
        self.features_NPC, self.scratch = features_NPC, scratch
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.tables: dict[str, list[float]] = defaultdict(list)
        """Of these, until the distances are on disk."""
        self.peaks: dict[str, list[float]] = defaultdict(list)
        """Of these, the mean of the best product rates before and after, FLOP/s."""

    def time(self, name: str, call: Callable[[], np.ndarray]) -> np.ndarray:
        """Time a loop over a part of the images, as if it were over all."""
        seconds, value = seconds_of(call)
        self.seconds[name].append(seconds * IMAGES / MEASURED_IMAGES)
        return value

    def one_pass(self, name: str, cells: list[Cell], *, actors: int) -> np.ndarray:
        """Time one pass on so many actors; return the scores against the first memory."""
        with ready_pool(actors) as pool:
            before = peak_of(pool, actors)
            done = one_pass(self.features_NPC, cells, RayCompute(self.scratch, pool=pool))
            self.peaks[name].append((before + peak_of(pool, actors)) / 2)
        self.seconds[name].append(done.seconds)
        self.tables[name].append(done.table_seconds)
        return done.scores_NP

    def median(self, name: str) -> float:
        """Median over rounds."""
        return statistics.median(self.seconds[name])

    def row(self, name: str) -> dict[str, Any]:
        """Medians over rounds: time, its ratio to the loop's in the same round, share of the peak measured then."""
        times, loops = self.seconds[name], self.seconds[LOOP]
        ratio = statistics.median(b / a for a, b in zip(times, loops, strict=False))
        row = _row(name, self.median(name), ratio * self.median(name))
        if name in self.tables:
            _, patches, channels = self.features_NPC.shape
            products = IMAGES * (IMAGES + 1) / 2 * 2 * patches**2 * channels
            row["distances, s"] = statistics.median(self.tables[name])
            row["of fp32 peak"] = statistics.median(
                products / seconds / peak
                for seconds, peak in zip(self.tables[name], self.peaks[name], strict=True)
            )
        return row


def ready_pool(actors: int) -> ActorPool:
    """A pool whose actors have started and imported what they need."""
    pool = start_pool(actors)
    list(
        pool.results(
            functools.partial(image_distances, np.ones((1, 1, 2))), [np.ones((1, 1, 2))] * 8
        )
    )
    return pool


def _row(name: str, seconds: float, loop_seconds: float) -> dict[str, Any]:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "what": name,
        "seconds": seconds,
        "times (a)": loop_seconds / seconds,
        "GB so far": used,
    }


def _errors(scores_nP: np.ndarray, expected_nP: np.ndarray) -> dict[str, float]:
    """Largest difference, also as a share of the scores' range, and rank correlation of image scores (top 1 %)."""
    worst = float(np.abs(scores_nP - expected_nP).max())
    ranks = spearmanr(np.sort(scores_nP)[:, -3:].mean(1), np.sort(expected_nP)[:, -3:].mean(1))
    return {
        "largest error": worst,
        "of the range": worst / float(np.ptp(expected_nP)),
        "rank": float(ranks[0]),
    }
