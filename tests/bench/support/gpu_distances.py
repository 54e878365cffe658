"""Rates of the memory stage on a GPU: pairs of images per second, 784 patches of 768 channels each."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.distances import block_distances
from harness.distances.blocks import DeviceImages, block_nearest, load_images
from harness.distances.gpu import GROUP, Nearest, gpu_distances, kernel_for
from tests.bench.support.gpu_rates import (
    DEVICE,
    Rate,
    Row,
    copy_rate,
    product_rate,
    row,
    seconds_of,
)

PATCHES, CHANNELS = 784, 768
PRODUCT_IMAGES = 16
"""Images on each side of the product that is the limit."""
PAIR_OPERATIONS = 2 * PATCHES**2 * CHANNELS
IMAGES, RHO, BANKS = 391, 0.1, 100
"""Training images of MVTec AD's largest category, and the paper's memory."""
MEASURED_BANKS, MEASURED_QUERIES = 4, 8
STORED, STREAMED = 4 * GROUP, 12 * GROUP
"""Columns of the table that is measured from disk to disk, and images of its category."""
TILES = ((128, 256, 64, 8, 4), (128, 128, 64, 4, 3), (128, 128, 64, 8, 3))
"""Tiles beside those of `harness.distances.fused`: rows, columns, depth, warps, stages."""


def unit_images(count: int, seed: int = 0) -> np.ndarray:
    """Random patches of unit length [J, P, C], half precision, a half of which are near copies of others."""
    generator = torch.Generator(device=DEVICE).manual_seed(seed)
    shape = (count, PATCHES, CHANNELS)
    images = torch.randn(shape, device=DEVICE, generator=generator)
    noise = torch.randn(shape, device=DEVICE, generator=generator)
    images[:, 1::2] = images[:, ::2] + 0.1 * noise[:, 1::2]
    images /= torch.linalg.vector_norm(images, dim=2, keepdim=True)
    return images.half().cpu().numpy()


def on_device(count: int, distance: Any = "cosine", seed: int = 0) -> DeviceImages:
    """The same on the device."""
    return load_images(unit_images(count, seed), "first", distance, torch.device(DEVICE))


def product_limit(dtype: torch.dtype = torch.float16) -> float:
    """Pairs per second that a product of the pairs' shape alone would allow."""
    side = PRODUCT_IMAGES * PATCHES
    return product_rate(side, CHANNELS, side, dtype) / PAIR_OPERATIONS


def products() -> list[Row]:
    """The limit of all pairs: products of half-precision and of single-precision numbers."""
    return [
        row(f"product of the pairs' shape, {name}", rate * PAIR_OPERATIONS / 1e12, "TFLOP/s")
        for name, rate in (
            ("half inputs, single result", product_limit()),
            ("single inputs", product_limit(torch.float32)),
        )
    ]


def kernels() -> Iterator[tuple[str, Nearest]]:
    """All kernels with their tiles; the fused kernel only where Triton is."""
    yield "block kernel", block_nearest
    try:
        from harness.distances.fused import TILES as USED
        from harness.distances.fused import Tile, fused_nearest
    except ImportError:
        return
    for tile in (*USED, *(Tile(*shape) for shape in TILES)):
        shape = f"{tile.rows} x {tile.columns} x {tile.depth}"
        name = f"fused kernel, {shape}, {tile.warps} warps, {tile.stages} stages"
        yield name, functools.partial(fused_nearest, tile=tile)


def pair_rates() -> list[Row]:
    """Pairs per second of every kernel, features and results on the device, both directions."""
    first, second = on_device(GROUP), on_device(GROUP, seed=1)
    found = []
    for name, nearest in kernels():
        call = functools.partial(nearest, first, second, both=True)
        found.append(_guarded(f"pairs, {name}", lambda call=call: GROUP**2 / seconds_of(call)))
    biased = on_device(GROUP, "euclidean"), on_device(GROUP, "euclidean", seed=1)
    chosen = kernel_for(torch.device(DEVICE), half=True)
    call = functools.partial(chosen, *biased, both=True)
    found.append(
        _guarded("pairs, Euclidean, the kernel in use", lambda: GROUP**2 / seconds_of(call))
    )
    return found


def _guarded(what: str, rate: Any) -> Row:
    """A rate beside the product's, or why there is none: a tile may not fit a device."""
    try:
        return row(what, rate(), "pairs/s", limit=product_limit(), of="product of the same shape")
    except Exception as error:  # noqa: BLE001 - the other kernels are measured all the same
        return {"what": what, "note": f"{type(error).__name__}: {error}"[:300]}


def block_kernel_traffic() -> list[Row]:
    """The block kernel's share of what its three passes over the product leave of the copy rate."""
    moved = 3 * 4 * PATCHES**2
    first, second = on_device(GROUP), on_device(GROUP, seed=1)
    rate = GROUP**2 / seconds_of(lambda: block_nearest(first, second, both=True))
    limit = 1 / (moved / copy_rate() + 1 / product_limit())
    of = "product, and its matrix written once and read twice"
    return [row("pairs, block kernel", rate, "pairs/s", limit=limit, of=of)]


def whole_calls() -> list[Row]:
    """Pairs per second from features in the host's memory to distances there, one GPU."""
    first, second = unit_images(GROUP), unit_images(GROUP, seed=1)
    settings: dict[str, Any] = {"distance": "cosine", "both": True}
    half_of = GROUP * (GROUP + 1) / 2
    rates = {
        "pairs, one block of a table, host to host": GROUP**2
        / seconds_of(lambda: block_distances(first, second, **settings)),
        "pairs, one block on a table's diagonal, host to host": half_of
        / seconds_of(lambda: block_distances(first, first, **settings)),
        "pairs, single-precision features, host to host": GROUP**2
        / seconds_of(lambda: block_distances(*map(np.float32, (first, second)), **settings)),
    }
    of = "product of the same shape"
    limit = product_limit()
    return [row(what, rate, "pairs/s", limit=limit, of=of) for what, rate in rates.items()]


def from_disk() -> list[Row]:
    """Pairs per second of a table and of a stream, from features on disk to results on disk, in this process."""
    from harness.features import CategoryFeatures
    from harness.memory import MemoryEnsemble
    from harness.memory.distance_tables import TableRequest, fill_tables
    from harness.memory.scores import ScoreRequest, fill_scores
    from harness.runtime.cache import EntryWriter
    from harness.runtime.compute import InProcess

    with tempfile.TemporaryDirectory() as folder:
        draft = EntryWriter(Path(folder) / "features")
        draft.array("memory", (STREAMED, PATCHES, CHANNELS), np.float16)[:] = unit_images(STREAMED)
        draft.publish()
        features = CategoryFeatures(draft.target)
        table = TableRequest(features, np.arange(STORED), "cosine", "exact")
        request = ScoreRequest(features, np.arange(STREAMED), MemoryEnsemble())
        table_seconds = _once(lambda: fill_tables([table], compute=InProcess()))
        seconds = _once(lambda: fill_scores([request], compute=InProcess(), table_budget=0))
    half = STORED * (STORED + 1) / 2 + STORED * (STREAMED - STORED)
    rates = {"table": half / table_seconds, "stream, with scores": STREAMED**2 / seconds}
    limit, of = product_limit(), "product of the same shape"
    return [
        row(f"pairs, a {what}, disk to disk", rate, "pairs/s", limit=limit, of=of)
        for what, rate in rates.items()
    ]


def _once(call: Callable[[], Any]) -> float:
    """Seconds of one call, for a second one would find the results in the cache."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def naive_loop() -> list[Row]:
    """The released way, a product per memory and query image, for MVTec AD's largest category beside one pass."""
    images = on_device(MEASURED_QUERIES * 5).features_JPC.float()
    draws = round(RHO * IMAGES)
    rng = np.random.default_rng(0)
    banks = [
        torch.from_numpy(rng.choice(len(images), draws)).to(DEVICE) for _ in range(MEASURED_BANKS)
    ]

    def loop() -> None:
        for bank in banks:
            flat = images[bank].flatten(0, 1)
            for i in range(MEASURED_QUERIES):
                (1 - images[i] @ flat.T).min(dim=1).values.clamp(min=0)

    seconds = seconds_of(loop) / (MEASURED_BANKS * MEASURED_QUERIES)
    first = on_device(GROUP)
    nearest = kernel_for(torch.device(DEVICE), half=True)
    of_pair = seconds_of(lambda: nearest(first, first, both=True)) / GROUP**2
    looped, passed = seconds * BANKS * IMAGES, of_pair * IMAGES * (IMAGES + 1) / 2
    return [
        row("391 images against 100 memories, loop over memories", looped, "s"),
        row("391 images against any memories, one pass, kernel only", passed, "s"),
        row("the loop's time over the pass's", looped / passed, "times"),
    ]


def exactness() -> list[Row]:
    """Largest errors against double precision of the stored numbers, and bits that depend on the order."""
    features = unit_images(6)
    exact, exact_squares = _double(features)
    order = np.random.default_rng(0).permutation(len(features))
    found = []
    for name, nearest in kernels():
        try:
            cosine = _distances(features, "cosine", nearest)
            euclidean = _distances(features, "euclidean", nearest)
            turned = _distances(features[order], "cosine", nearest)
        except Exception as error:  # noqa: BLE001 - a tile may not fit the device
            found.append({"what": name, "note": f"{type(error).__name__}: {error}"[:300]})
            continue
        changed = float((turned != cosine[order][:, :, order]).sum())
        squares = np.abs(euclidean.astype(np.float64) ** 2 / 2 - exact_squares).max()
        found += [
            row(f"error of cosine distances, {name}", np.abs(cosine - exact).max(), "at most 2e-6"),
            row(f"error of half the squared Euclidean distances, {name}", squares, ""),
            row(f"distances whose bits change with the order, {name}", changed, "must be 0"),
        ]
    return found


def _distances(features: np.ndarray, distance: Any, nearest: Nearest) -> np.ndarray:
    return gpu_distances(
        features,
        features.copy(),
        distance=distance,
        both=False,
        unit_length=True,
        device=torch.device(DEVICE),
        nearest=nearest,
    )[0]


def _double(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest cosine distances [J, P, J] of all patches, and half the smallest squared distances, double precision."""
    images = torch.from_numpy(features).to(DEVICE).double()
    half = images.square().sum(dim=2) / 2
    cosines, squares = [], []
    for image, own in zip(images, half, strict=True):
        products = torch.einsum("pc,jqc->pjq", image, images)
        cosines.append((1 - products.amax(dim=2)).clamp(min=0))
        squares.append((own[:, None, None] + half - products).amin(dim=2).clamp(min=0))
    return torch.stack(cosines).cpu().numpy(), torch.stack(squares).cpu().numpy()


def memory_bound() -> list[Row]:
    """Largest memory on the device during a block of a table, beside the bound that the documentation gives."""
    first, second = unit_images(GROUP), unit_images(GROUP, seed=1)
    found = []
    for name, nearest in (("kernel in use", None), ("block kernel", block_nearest)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        gpu_distances(
            first,
            second,
            distance="euclidean",
            both=True,
            unit_length=False,
            device=torch.device(DEVICE),
            nearest=nearest,
        )
        used = (torch.cuda.max_memory_allocated() - before) / 1e9
        found.append(row(f"device memory of a block, {name}", used, "GB"))
    return found


RATES: tuple[Rate, ...] = (
    products,
    exactness,
    pair_rates,
    block_kernel_traffic,
    whole_calls,
    memory_bound,
    naive_loop,
    from_disk,
)
