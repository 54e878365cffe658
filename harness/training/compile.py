"""A network's forward pass compiled for the device, where that pays.

On a GPU many small kernels become few. They are compiled for the very shapes that come: kernels for any shape would
replace them where a process has seen another shape before, and results would depend on what it ran. On a CPU core a
step is mostly matrix products, which compiling leaves as they are (`make bench ARGS=training` measures it), and results
would depend on whether a machine has a C++ compiler.
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
"""Shapes that are compiled for; torch stops at 8 by itself, and runs what comes then uncompiled."""


def compiled(module: nn.Module, device: torch.device) -> Callable[[Any], Any]:
    """The module's forward pass, compiled on a GPU and as it is elsewhere."""
    return CompiledForward(module) if device.type == "cuda" else module


class CompiledForward:
    """A forward pass that is compiled at its first call, or left as it is, with a line in the log, if it cannot be."""

    def __init__(self, module: nn.Module, **options: Any) -> None:
        """Take a module and options of `torch.compile`."""
        self._module = module
        self._forward: Callable[[Any], Any] = torch.compile(module, dynamic=False, **options)
        # The compiler's advice to round products of single precision, which is not ours to take.
        warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")

    def __call__(self, batch: Any) -> Any:
        """Apply the module."""
        # Here, since it loads the whole compiler, which takes a second in every process.
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
            LOG.warning("Training goes on without torch.compile, which failed: %s", reason)
            self._forward = self._module
            return self._module(batch)
