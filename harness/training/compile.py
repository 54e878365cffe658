"""Compilation of a network's forward pass with `torch.compile`, on GPUs only.

On a GPU, compilation fuses many small kernels into few. Kernels are compiled separately for each batch shape. By
default, torch compiles kernels for arbitrary shapes once a process has met a second shape. Results would then depend on
what the process ran before. On a CPU core, a training step is mostly matrix products, which compilation does not change
(`make bench ARGS=training` measures this). Results would also depend on whether a machine has a C++ compiler.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

LOG = logging.getLogger(__name__)
SHAPES = 64
"""Maximum number of compiled shapes; the default of torch is 8, and further shapes run uncompiled."""


def compiled(module: nn.Module, device: torch.device) -> Callable[[Any], Any]:
    """Return the module's forward pass, compiled if the device is a GPU and unchanged otherwise."""
    return CompiledForward(module) if device.type == "cuda" else module


class CompiledForward:
    """Forward pass that is compiled at its first call; if compilation fails, it logs a warning and runs uncompiled."""

    def __init__(self, module: nn.Module, **options: Any) -> None:
        """Wrap a module; `options` are passed to `torch.compile`."""
        self._module = module
        self._forward: Callable[[Any], Any] = torch.compile(module, dynamic=False, **options)
        # The compiler advises TensorFloat32 products, which would round float32 results.
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")

    def __call__(self, batch: Any) -> Any:
        """Apply the module."""
        # Imported here because the import loads the whole compiler, which takes a second per process.
        from torch._dynamo import config
        from torch._dynamo.exc import TorchDynamoException

        if config.recompile_limit < SHAPES:
            config.recompile_limit = SHAPES
        try:
            return self._forward(batch)
        except TorchDynamoException as error:
            if self._forward is self._module:
                raise
            reason = " ".join(str(error).split("\n\n")[0].split())
            LOG.warning("Training continues without torch.compile, which failed: %s", reason)
            self._forward = self._module
            return self._module(batch)
