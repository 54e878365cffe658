"""Timing that holds on a noisy machine: alternatives in turn, medians, and ratios pair by pair."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

INNER_SIZES = (152, 512, 2048)
"""Inner sizes of the products whose rate counts as the machine's peak."""


def alternate(candidates: dict[str, Callable[[], Any]], *, rounds: int) -> dict[str, list[float]]:
    """Seconds of every candidate, one call each per round, in turn; a round before counts as warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_number in range(rounds + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(seconds: dict[str, list[float]], *, against: str) -> list[dict[str, Any]]:
    """Per candidate: median seconds, and the median over rounds of its time relative to one of them."""
    return [
        {
            "what": name,
            "seconds": statistics.median(times),
            f"relative to {against}": statistics.median(
                a / b for a, b in zip(times, seconds[against], strict=True)
            ),
        }
        for name, times in seconds.items()
    ]


def median_step(ends: list[float], *, warm_up: int) -> float:
    """Median seconds of a training step after a warm-up, from the times at which steps were reported.

    A GPU reports several steps at a time; they share the time since the report before.
    """
    last = [i for i in range(len(ends) - 1) if ends[i + 1] - ends[i] > 1e-4] + [len(ends) - 1]
    pairs = itertools.pairwise(last)
    shares = [((ends[b] - ends[a]) / (b - a), b - a) for a, b in pairs if a >= warm_up - 1]
    return statistics.median(share for share, steps in shares for _ in range(steps))


def sustained_rate(inner: int) -> float:
    """Single-precision FLOP/s of products 2048 x inner x 2048 that torch keeps up for a second, on its threads here.

    As a pass keeps up its own; single products reach more at moments.
    """
    left, right = torch.rand(2048, inner), torch.rand(inner, 2048)
    left @ right  # the first one starts the threads
    start, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < 1:
        left @ right
        products += 1
    return products * 2 * 2048 * 2048 * inner / seconds
