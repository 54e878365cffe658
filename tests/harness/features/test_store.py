"""FeatureStore: encoded once, complete or not there at all, and opaque to detectors."""

import dataclasses
import pickle

import numpy as np
import pytest
from PIL import Image

from harness.features import FeatureStore, ImageSet
from harness.features import store as features
from harness.features.encoder import Encoder
from harness.features.store import CHUNK
from harness.runtime.compute import InProcess

TINY = Encoder(image_size=32)


@pytest.fixture
def pictures(tmp_path):
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(CHUNK + 3):
        path = tmp_path / "images" / f"{i:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path)
        pairs.append((f"{i:064}", path))
    return {"a": pairs[:5], "b": pairs}


def test_rows_follow_the_given_order_whatever_the_chunk(pictures, tmp_path):
    store = FeatureStore(tmp_path / "store")
    filled = store.fill(TINY, pictures, compute=InProcess())
    assert len(filled["a"].memory_NPC) == 5
    assert len(filled["b"].memory_NPC) == CHUNK + 3
    np.testing.assert_array_equal(filled["a"].memory_NPC, filled["b"].memory_NPC[:5])
    for whole, part in zip(filled["b"].targets, filled["a"].targets, strict=True):
        np.testing.assert_array_equal(whole[:5], part)


def refuse(*args):
    raise AssertionError("this must not be called again")


def test_nothing_is_encoded_twice(pictures, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path / "store")
    first = store.fill(TINY, pictures, compute=InProcess())
    monkeypatch.setattr(features, "encode", refuse)
    again = store.fill(TINY, pictures, compute=InProcess())
    assert again == first


def test_other_images_or_another_encoder_are_other_features(pictures, tmp_path):
    store = FeatureStore(tmp_path / "store")
    first = store.fill(TINY, pictures, compute=InProcess())["a"]
    changed = {"a": [("f" * 64, pictures["a"][0][1]), *pictures["a"][1:]]}
    assert store.fill(TINY, changed, compute=InProcess())["a"] != first
    other = dataclasses.replace(TINY, image_size=48)
    assert store.fill(other, {"a": pictures["a"]}, compute=InProcess())["a"] != first


def test_an_interrupted_filling_leaves_whole_categories_only(pictures, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path / "store")
    encode = features.encode

    def fail_late(encoder, files):
        if files[-1] == pictures["b"][-1][1]:
            raise KeyboardInterrupt
        return encode(encoder, files)

    with monkeypatch.context() as broken:
        broken.setattr(features, "encode", fail_late)
        with pytest.raises(KeyboardInterrupt):
            store.fill(TINY, pictures, compute=InProcess())
    finished = [path for path in store.folder.iterdir() if "." not in path.name]
    assert len(finished) == 1
    filled = store.fill(TINY, pictures, compute=InProcess())
    assert len(filled["b"].memory_NPC) == CHUNK + 3
    assert (filled["b"].memory_NPC != 0).any(axis=(1, 2)).all()


def test_features_travel_as_a_path_and_cannot_be_written(small):
    category = small.prepared.features["brick"]
    assert len(category.memory_NPC) == 22
    assert len(pickle.dumps(category)) < 1000
    with pytest.raises(ValueError, match="read-only"):
        category.memory_NPC[0] = 0


def test_an_image_set_holds_nothing_but_features_and_rows(small):
    """What a detector sees: no field, however deep, is a label, a mask, a defect's name, or the name of an image."""
    images = small.prepared.images(small.prepared.samples)
    secrets = set(small.prepared.samples["image"]) | set(small.prepared.samples["defect"])

    def texts(value):
        if dataclasses.is_dataclass(value):
            for field in dataclasses.fields(value):
                yield from texts(getattr(value, field.name))
        elif isinstance(value, tuple):
            for item in value:
                yield from texts(item)
        else:
            yield str(value)

    assert isinstance(images, ImageSet)
    assert not any(secret in text for text in texts(images) for secret in secrets)


def test_rows_do_not_follow_the_files_order(small):
    """MVTec names sort by defect; rows are ordered by content, so a row says nothing about the label."""
    samples = small.prepared.samples
    for _, group in samples.groupby("category"):
        assert not group["image"].is_monotonic_increasing
        assert group["digest"].is_monotonic_increasing
