"""Reading of weights that others trained, from files that may hold tensors and nothing that runs."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from harness.errors import InputError

SAFE = ".safetensors"
"""Suffix of files that can hold nothing but tensors."""


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a torch file or a safetensors file by name, in the order of the file.

    Raises:
        InputError: the file is damaged, holds something else than tensors by name, or cannot be read.
    """
    try:
        if file.suffix == SAFE:
            return load_file(file)
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch raises errors of many classes for what it does not understand
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise InputError(
            f"{file} cannot be read as weights ({type(error).__name__}: {reason}). Give a {SAFE} file, or a file that "
            "torch.save wrote with a state_dict, a dictionary of tensors by name. A file with other Python objects is "
            "refused, because reading such a file can run any code."
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise InputError(
            f"{file} holds no dictionary of tensors by name. Save a network's weights with "
            "torch.save(network.state_dict(), file)."
        )
    return {str(name): value for name, value in tensors.items()}
