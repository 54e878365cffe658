"""State of a training as bytes: tensors and JSON in a safetensors file, which can hold no code.

A file that somebody else wrote can therefore be damaged or wrong, but reading it runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

STRUCTURE = "meds.state"
"""Entry of the file's header with the JSON of everything that is not a tensor."""
HEADER = 8
"""Bytes of the number in front of a safetensors header; the number is the header's length in bytes."""
PLAIN = (type(None), bool, int, float, str)
"""Types that JSON keeps exactly; integers may have any size."""


def pack(state: Mapping[str, Any]) -> bytes:
    """Return the bytes of a state of plain values, tensors, arrays, lists, tuples and dictionaries.

    Raises:
        TypeError: the state holds a value of another type.
    """
    tensors: dict[str, Tensor] = {}
    structure = json.dumps(_described(dict(state), tensors))
    return save(tensors, {STRUCTURE: structure})


def unpack(content: bytes) -> dict[str, Any]:
    """Return the state that `pack` wrote; tensors are in the memory of the CPU.

    Raises:
        ValueError: the bytes are no such state.
    """
    try:
        tensors = load(content)
        length = int.from_bytes(content[:HEADER], "little")
        header = json.loads(content[HEADER : HEADER + length])
        state = _rebuilt(json.loads(header["__metadata__"][STRUCTURE]), tensors)
    except (SafetensorError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"this is not the state of a training ({error})") from error
    if not isinstance(state, dict):
        raise ValueError("this is not the state of a training")
    return state


def _described(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return JSON that describes a value, and add the value's tensors to `tensors`.

    Plain values and lists stand for themselves. Every other value is an object with one entry, which names its type.
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, list):
        return [_described(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_described(item, tensors) for item in value]}
    if isinstance(value, Mapping):
        # Keys may be numbers, as in an optimizer's state; as names of a JSON object they would become text.
        return {"dict": [[key, _described(item, tensors)] for key, item in value.items()]}
    name = str(len(tensors))
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(np.array(value, order="C"))
        return {"array": name}
    if isinstance(value, Tensor):
        # A file must not hold views of one memory.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    raise TypeError(f"A checkpoint cannot hold a value of type {type(value).__name__}.")


def _rebuilt(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the value that `_described` described."""
    if isinstance(value, list):
        return [_rebuilt(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "tuple":
        return tuple(_rebuilt(item, tensors) for item in content)
    if kind == "dict":
        return {key: _rebuilt(item, tensors) for key, item in content}
    raise ValueError(f"the state of a training holds no {kind!r}")
