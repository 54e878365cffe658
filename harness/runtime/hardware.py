"""Description of the hardware of an experiment; numbers are bit-identical only on processors of one kind.

Processors with registers of different width add in a different order. Memory scores then differ in their last digits.
Trained networks diverge from such differences; their results differ about as much as between two training seeds.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

PROCESSORS = Path("/proc/cpuinfo")
"""File in which Linux describes its processors."""


def describe_hardware() -> dict[str, str]:
    """Return the operating system and cores, the processor with its instruction set, and the GPUs."""
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
