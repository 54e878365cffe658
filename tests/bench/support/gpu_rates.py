"""What rates of a GPU share: timers, the device's own limits, and rows that keep a rate beside its limit."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

Row = dict[str, Any]
Rate = Callable[[], Sequence[Row]]
"""A measurement; a benchmark runs one after the other, and goes on where one fails."""
DEVICE = "cuda:0"
SECONDS = 0.5
"""Time over which a call is repeated."""
ROUNDS = 3
COPIED_BYTES = 2**31


def seconds_of(call: Callable[[], Any], *, seconds: float = SECONDS) -> float:
    """Seconds of one call on the device: the median of rounds, each with as many calls as take a while; warmed up."""
    call()
    once = _timed(call, 1)
    calls = max(1, int(seconds / ROUNDS / max(once, 1e-6)))
    return statistics.median(_timed(call, calls) for _ in range(ROUNDS))


def _timed(call: Callable[[], Any], calls: int) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def row(what: str, value: float, unit: str, *, limit: float | None = None, of: str = "") -> Row:
    """A measured value, and its share of a limit that was measured in the same run."""
    found: Row = {"what": what, "value": float(value), "unit": unit}
    if limit is not None:
        found |= {"limit": limit, "share": value / limit, "the limit is": of}
    return found


@functools.cache
def product_rate(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    """FLOP/s of one product in a loop; half-precision inputs have single-precision results."""
    left = torch.randn(rows, inner, device=DEVICE).to(dtype)
    right = torch.randn(columns, inner, device=DEVICE).to(dtype).T
    if dtype == torch.float32:
        seconds = seconds_of(lambda: torch.mm(left, right))
    else:
        seconds = seconds_of(lambda: torch.mm(left, right, out_dtype=torch.float32))
    return 2 * rows * inner * columns / seconds


@functools.cache
def copy_rate() -> float:
    """Bytes per second that a copy within the device's memory reads and writes."""
    source = torch.empty(COPIED_BYTES // 2, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    return COPIED_BYTES / seconds_of(lambda: target.copy_(source))


def transfer_rate(*, pinned: bool) -> float:
    """Bytes per second from the host's memory to the device's."""
    source = torch.empty(2**28, dtype=torch.uint8, pin_memory=pinned)
    target = torch.empty_like(source, device=DEVICE)
    return len(source) / seconds_of(lambda: target.copy_(source, non_blocking=pinned))


def copies() -> list[Row]:
    """The rates of copies: the limits of everything that moves data."""
    rates = {
        "copy on the device, read and written": copy_rate(),
        "copy to the device, pinned": transfer_rate(pinned=True),
        "copy to the device, pageable": transfer_rate(pinned=False),
    }
    return [row(what, rate / 1e9, "GB/s") for what, rate in rates.items()]


RATES: tuple[Rate, ...] = (copies,)
