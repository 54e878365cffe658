"""Checkpoints: what is saved comes back bit for bit, and nothing that a file says is ever executed."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.torch import save

from harness.runtime.checkpoints import Checkpoints
from harness.runtime.plain_state import STRUCTURE, pack, unpack

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
DTYPES = st.sampled_from(["bool", "uint8", "uint64", "int64", "float16", "float32", "float64"])
ARRAYS = arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
TENSORS = ARRAYS.map(torch.from_numpy) | ARRAYS.map(
    lambda array: torch.from_numpy(array).to(torch.bfloat16)
)
KEYS = st.text() | st.integers(-5, 5)
STATES = st.dictionaries(
    KEYS,
    st.recursive(
        PLAIN | ARRAYS | TENSORS,
        lambda part: (
            st.lists(part) | st.lists(part).map(tuple) | st.dictionaries(KEYS, part, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)


def bits(value):
    """Describe a value by its types and bits; NaN is a value like any other."""
    match value:
        case torch.Tensor():
            flat = value.contiguous().reshape(-1)
            return "tensor", value.dtype, tuple(value.shape), bytes(flat.untyped_storage())
        case np.ndarray():
            return "array", value.dtype, value.shape, value.tobytes()
        case dict():
            return "dict", [(type(key), key, bits(item)) for key, item in value.items()]
        case list() | tuple():
            return type(value), [bits(item) for item in value]
        case _:
            return type(value), repr(value)


@given(STATES)
@settings(max_examples=60, deadline=None)
def test_a_state_comes_back_with_the_same_types_and_bits(state):
    assert bits(unpack(pack(state))) == bits(state)


def test_views_and_transposed_tensors_come_back_with_their_values():
    whole = torch.arange(12.0).view(3, 4)
    state = {"views": [whole[:, 1], whole.T, whole], "rows": np.arange(6).reshape(2, 3).T}
    again = unpack(pack(state))
    assert all(torch.equal(a, b) for a, b in zip(again["views"], state["views"], strict=True))
    np.testing.assert_array_equal(again["rows"], state["rows"])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused_with_a_value_error(content):
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(content)


@pytest.mark.parametrize(
    "structure",
    [
        *("", "[]", "3", '{"a": 1, "b": 2}', '{"tensor": "9"}', '{"tensor": []}', "[" * 10_000),
        *('{"dict": [1]}', '{"dict": [[{}, 1]]}', '{"dict": [["a", {"object": "os.system"}]]}'),
    ],
)
def test_a_structure_that_no_training_has_is_refused(structure):
    with pytest.raises(ValueError):  # noqa: PT011
        unpack(save({"0": torch.ones(2)}, {STRUCTURE: structure}))


def test_a_value_that_is_neither_plain_nor_a_tensor_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match="type PosixPath"):
        Checkpoints(tmp_path).save("phase", {"file": Path("x")})
    assert not list(tmp_path.iterdir())


class Payload:
    """When unpickled, create a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_pickle_is_never_opened_even_if_its_checksum_is_right(tmp_path):
    """This is the format of older versions."""
    mark = tmp_path / "mark"
    content = pickle.dumps({"losses": Payload(mark)})
    pickle.loads(content)
    assert mark.is_file()  # the payload works
    mark.unlink()
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    file = checkpoints.file("phase")
    file.parent.mkdir()
    file.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    with pytest.warns(UserWarning, match="Python pickle.*: training restarts at its first step"):
        assert checkpoints.load("phase") is None
    assert not mark.exists()
    checkpoints.save("phase", {"losses": [1.0]})  # the new checkpoint takes its place
    assert checkpoints.load("phase") == {"losses": [1.0]}


def test_no_module_unpickles_a_file():
    """No module imports pickle, and torch reads weights only."""
    root = Path(__file__).parents[3]
    sources = [
        f
        for p in ("harness", "baselines", "sweeps", "reports", "meds_bench")
        for f in root.glob(f"{p}/**/*.py")
    ]
    for file in sources:
        text = file.read_text()
        assert "import pickle" not in text, file
        assert "allow_pickle=True" not in text, file
        assert text.count("torch.load(") == text.count("weights_only=True"), file
