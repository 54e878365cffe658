"""Peak memory of this process: of the host and of its GPU, since the start of an experiment."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Files of Linux with the peak of a process, and for setting the peak to the present value."""
RESET = "5"
"""Text that sets the peak of a process to its present memory (Linux manual, proc_pid_clear_refs)."""


@dataclass(frozen=True)
class PeakMemory:
    """Largest memory of a process, in gigabytes of 10^9 bytes."""

    host: float
    """Resident memory, with the parts of mapped files that were read."""
    gpu: float = 0.0
    """Memory of tensors that torch allocated on the fullest GPU; 0 without a GPU."""

    def union(self, other: PeakMemory) -> PeakMemory:
        """Return the larger value of two processes, apart for host and GPU."""
        return PeakMemory(max(self.host, other.host), max(self.gpu, other.gpu))


def reset_peaks() -> None:
    """Let the peaks begin here, since a process may run many experiments.

    Where the system cannot do this (macOS, some containers), the peak of the host is that since the process started.
    """
    with suppress(OSError):
        REFERENCES.write_text(RESET)
    for place in _gpus():
        torch.cuda.reset_peak_memory_stats(place)


def peak_memory() -> PeakMemory:
    """Return the peaks since the last `reset_peaks`."""
    gpus = [torch.cuda.max_memory_allocated(place) for place in _gpus()]
    return PeakMemory(_resident_bytes() / 1e9, max(gpus, default=0) / 1e9)


def _gpus() -> range:
    """Return the GPUs of this process; none before its first tensor on a GPU."""
    return range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)


def _resident_bytes() -> int:
    if STATUS.exists():
        lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    import resource  # Windows has no such module

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
