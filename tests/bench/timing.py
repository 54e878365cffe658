"""Timing that holds on a noisy machine: alternatives in turn, medians, and ratios pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


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
