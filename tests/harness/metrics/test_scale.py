"""Metrics of many images: however they are given, cut and sorted, the values and the memory are the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from harness.metrics import pixel_sweep
from harness.metrics import threshold_sweep as thresholds
from harness.runtime.compute import device_sort


def test_images_of_different_sizes_and_made_on_demand_give_the_same():
    rng = np.random.default_rng(0)
    masks = rng.random((3, 5, 8)) < 0.3
    maps = rng.normal(size=masks.shape)

    class Made(list):
        asked = 0

        def __getitem__(self, i):
            self.asked += 1
            return super().__getitem__(i)

    whole = pixel_sweep(masks, maps)
    parts = pixel_sweep([masks[0], masks[1], masks[2].T], Made([maps[0], maps[1], maps[2].T]))
    assert parts.aupro() == whole.aupro()
    assert parts.average_precision() == whole.average_precision()


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    masks = rng.random((6, 9, 9)) < 0.2
    maps = rng.integers(0, 9, masks.shape).astype(np.float32)
    whole = pixel_sweep(masks, maps)
    monkeypatch.setattr(thresholds, "CHUNK", 100)
    chunked = pixel_sweep(masks, maps)
    for name in ("hits_T", "above_T", "reached_T", "overlap_T"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(chunked, name))


def test_sorting_on_a_device_gives_the_same():
    rng = np.random.default_rng(0)
    masks = rng.random((4, 20, 20)) < 0.2
    maps = rng.normal(size=masks.shape).astype(np.float32)
    there = pixel_sweep(masks, maps, sort=device_sort(torch.device("cpu")))
    here = pixel_sweep(masks, maps)
    assert there.aupro() == here.aupro()
    assert there.auroc() == here.auroc()


def test_the_inputs_are_left_alone():
    masks, maps = np.eye(5, dtype=bool)[None], np.arange(25.0)[::-1].reshape(1, 5, 5).copy()
    before = maps.copy()
    pixel_sweep(masks, maps)
    np.testing.assert_array_equal(maps, before)


def test_forty_million_pixels_stay_under_their_memory():
    """In a process of its own: peak memory beyond the maps and masks is what a chunk of negatives needs."""
    code = (
        "import numpy as np\n"
        "from harness.metrics import pixel_sweep\n"
        "rng = np.random.default_rng(0)\n"
        "maps = rng.random((610, 256, 256), dtype=np.float32)\n"
        "masks = np.zeros(maps.shape, dtype=bool); masks[::2, 20:60, 20:60] = True\n"
        "s = pixel_sweep(masks, maps); s.auroc(); s.average_precision(); s.f1max(); s.aupro()\n"
        # Not getrusage, which remembers what the process that started this one had.
        "print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) / 1e6 < 1.5  # GB
