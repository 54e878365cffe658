"""Weights that others trained: tensors are read, and what a file says is never executed."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from harness.config.file_ref import file_ref
from harness.errors import InputError
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.pdn import read_weights
from harness.features.weights_file import read_tensors
from tests.harness.runtime.test_checkpoints import Payload


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))]
)
@pytest.mark.parametrize(
    "read", [read_tensors, read_weights, lambda f: load_model(Encoder(weights=file_ref(f)))]
)
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(write, read, tmp_path):
    mark, file = tmp_path / "mark", tmp_path / "weights.pt"
    write({"weight": Payload(mark)}, file)
    with pytest.raises(InputError, match=r"weights\.pt cannot be"):
        read(file)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02}q\x00.", b"PK\x03\x04 torn"])
@pytest.mark.parametrize("read", [read_tensors, read_weights])
def test_a_damaged_file_is_refused_in_a_sentence(content, read, tmp_path):
    file = tmp_path / "weights.pt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pt"):
        read(file)


@pytest.mark.parametrize("value", [[torch.ones(2)], torch.ones(2), {"weight": 3}, {"a": {"b": 1}}])
def test_anything_but_tensors_by_name_is_refused(value, tmp_path):
    torch.save(value, tmp_path / "weights.pt")
    with pytest.raises(InputError, match="no dictionary of tensors by name"):
        read_tensors(tmp_path / "weights.pt")


def test_weights_with_the_right_names_and_other_shapes_are_refused(tmp_path):
    file = tmp_path / "weights.pt"
    torch.save({name: torch.ones(2) for name in load_model(Encoder()).state_dict()}, file)
    with pytest.raises(InputError, match="does not hold the weights of EfficientNet"):
        load_model(Encoder(weights=file_ref(file)))


def test_safetensors_are_read_without_torch_load(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    weights = {"a": torch.arange(3.0), "b": torch.zeros(0)}
    save_file(weights, tmp_path / "weights.safetensors")
    found = read_tensors(tmp_path / "weights.safetensors")
    assert {name: value.tolist() for name, value in found.items()} == {"a": [0, 1, 2], "b": []}


def test_tensors_keep_their_order_and_values(tmp_path):
    weights = {"b": torch.arange(3.0), "a": torch.zeros(0)}
    torch.save(weights, tmp_path / "weights.pt")
    found = read_tensors(Path(tmp_path / "weights.pt"))
    assert list(found) == ["b", "a"]
    np.testing.assert_array_equal(found["b"], weights["b"])
