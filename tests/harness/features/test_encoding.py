"""Images that threads decode ahead of the encoder: the features and errors of one image after the other."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import InputError
from harness.features import Encoder, encode, encoding
from harness.features.patch_features import LocallyAware
from harness.images import decoding, view

ENCODER = Encoder(image_size=64)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(4)
    files = [folder / f"{i}.{'png' if i % 2 else 'jpg'}" for i in range(9)]
    for file in files:
        pixels = rng.integers(0, 255, (int(rng.integers(70, 200)), 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)
    return files


def in_turn(files):
    parts = [encode(ENCODER, [file]) for file in files]
    return np.concatenate([part.memory_NPC for part in parts])


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_features_are_the_same_bits_for_any_number_of_threads(photographs, threads, monkeypatch):
    expected_NPC = in_turn(photographs)
    monkeypatch.setattr(encoding, "readers", lambda device: threads)
    found_NPC = encode(ENCODER, photographs).memory_NPC
    np.testing.assert_array_equal(found_NPC, expected_NPC)
    backward_NPC = encode(ENCODER, photographs[::-1]).memory_NPC
    np.testing.assert_array_equal(backward_NPC[::-1], expected_NPC)


@pytest.mark.parametrize("together", [2, 4, 32])
def test_batches_that_overlap_give_every_image_its_own_features(photographs, together, monkeypatch):
    """Batches are those of a GPU here; sums may differ in their last digits from those of one image."""
    monkeypatch.setattr(encoding, "batch_size", lambda device: together)
    found_NPC = encode(ENCODER, photographs).memory_NPC.astype(float)
    np.testing.assert_allclose(found_NPC, in_turn(photographs).astype(float), atol=2e-3)


def test_the_number_of_threads_of_torch_changes_no_feature_and_stays_as_it_was(photographs):
    expected_NPC, before = in_turn(photographs[:3]), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        np.testing.assert_array_equal(encode(ENCODER, photographs[:3]).memory_NPC, expected_NPC)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_broken_file_in_the_middle_is_named_alone(photographs, tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    first.write_bytes(photographs[1].read_bytes()[:200])
    second.write_text("no image")
    files = [*photographs[:4], first, photographs[5], second]
    with pytest.raises(InputError) as alone:
        ENCODER.read(first)
    with pytest.raises(InputError) as found:
        encode(ENCODER, files)
    assert str(found.value) == str(alone.value)
    assert "first.png" in str(found.value)


def test_only_one_large_image_is_in_memory_at_a_time(photographs, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE", 0)
    monkeypatch.setattr(encoding, "readers", lambda device: 4)
    held, most, lock = [], [], threading.Lock()
    own = view.seen

    def counted(path, image, white=None):
        with lock:
            held.append(path)
            most.append(len(held))
        pixels = own(path, image, white)
        threading.Event().wait(0.005)
        with lock:
            held.remove(path)
        return pixels

    monkeypatch.setattr(view, "seen", counted)
    encode(ENCODER, photographs)
    assert max(most) == 1


@pytest.mark.parametrize(
    "encoder",
    [
        Encoder(image_size=64),
        Encoder(image_size=64, memory=LocallyAware(modules=("blocks.2", "blocks.4"))),
        Encoder(
            name="vit_tiny_patch16_224", weights="random", image_size=64, groups=((1, 2), (3,))
        ),
    ],
    ids=["convolutional", "neighbourhoods", "transformer"],
)
def test_half_precision_changes_features_a_little_and_their_key(encoder, photographs):
    half = replace(encoder, precision="half")
    single, rounded = encode(encoder, photographs[:3]), encode(half, photographs[:3])
    scale = np.abs(single.memory_NPC.astype(float)).max()
    difference = np.abs(single.memory_NPC.astype(float) - rounded.memory_NPC.astype(float)).max()
    assert 0 < difference < 0.02 * scale
    assert encoding.encoder_digest(encoder) != encoding.encoder_digest(half)


def test_a_precision_without_a_meaning_is_refused():
    with pytest.raises(InputError, match="single, half"):
        Encoder(precision="double")
