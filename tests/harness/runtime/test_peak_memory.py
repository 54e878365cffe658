"""Peak memory: what was allocated and freed since the reset counts, what was freed before does not."""

import mmap
import sys

import numpy as np
import pytest
import torch

from harness.runtime.peak_memory import REFERENCES, PeakMemory, peak_memory, reset_peaks

SIZE = 0.3
"""Gigabytes that a test allocates; far more than anything else does meanwhile."""


def allocate():
    """Write to new pages of memory, then return these pages to the system.

    An array could reuse pages that the heap has freed but not returned; the memory of the process would not fall then.
    """
    with mmap.mmap(-1, int(SIZE * 1e9)) as pages:
        np.frombuffer(pages, dtype=np.uint8).fill(1)


def can_reset():
    try:
        REFERENCES.write_text("5")
    except OSError:
        return False
    return True


def test_freed_memory_counts():
    before = peak_memory().host
    reset_peaks()
    allocate()
    assert peak_memory().host > SIZE
    assert before < 100  # gigabytes, not kilobytes


@pytest.mark.skipif(sys.platform != "linux" or not can_reset(), reason="no reset of the peak here")
def test_memory_of_an_earlier_experiment_does_not_count():
    reset_peaks()  # of earlier tests in this process
    allocate()
    high = peak_memory().host
    reset_peaks()
    assert peak_memory().host < high - SIZE / 2
    allocate()
    assert peak_memory().host > high - SIZE / 2


def test_two_processes_have_the_larger_values():
    assert PeakMemory(2.0, 5.0).union(PeakMemory(3.0, 4.0)) == PeakMemory(3.0, 5.0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_there_is_no_memory_of_one():
    reset_peaks()
    assert peak_memory().gpu == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_memory_on_a_gpu_is_that_of_its_tensors_since_the_reset():
    torch.ones(int(SIZE * 1e9), dtype=torch.uint8, device="cuda")
    reset_peaks()
    assert peak_memory().gpu < SIZE / 2
    torch.ones(int(SIZE * 1e9), dtype=torch.uint8, device="cuda")
    assert SIZE <= peak_memory().gpu < 1.1 * SIZE
