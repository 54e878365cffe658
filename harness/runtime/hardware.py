"""What an experiment was computed on: numbers are equal to the bit on processors of one kind, and close on others.

A processor with wider registers adds in another order. A score of a memory differs by that in its last digits; a
network that trains takes another way from there, and ends about as far off as with another seed.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

PROCESSORS = Path("/proc/cpuinfo")
"""Where Linux says which processors it has."""


def describe_hardware() -> dict[str, str]:
    """System and cores, processor and the registers that torch uses of it, GPUs."""
    count = torch.cuda.device_count()
    gpus = [torch.cuda.get_device_name(place) for place in range(count)]
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}",
        "gpus": ", ".join(gpus) or "none",
    }


def _processor() -> str:
    lines = PROCESSORS.read_text().splitlines() if PROCESSORS.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
