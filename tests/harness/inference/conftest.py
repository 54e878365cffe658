"""A memory that was fitted to the small data set's bricks and saved."""

from types import SimpleNamespace

import pytest

from harness.detectors import MemoryDetector
from harness.inference.card import card
from harness.inference.methods import Method
from harness.inference.saved import save
from harness.memory import MemoryEnsemble
from tests.support.dataset import ENCODER
from tests.support.fitted import fitted, linked


@pytest.fixture(scope="session")
def bricks(small, tmp_path_factory):
    """The fitted detector, the folder where it was saved, its training images, and new images."""
    root = tmp_path_factory.mktemp("bricks")
    samples = small.prepared.samples.query("category == 'brick'")
    train, test = (samples[samples["split"] == part]["image"] for part in ("train", "test"))
    folder, new = linked(small.data, train, root / "train"), linked(small.data, test, root / "new")
    method = Method(
        detector=MemoryDetector(memory=MemoryEnsemble(ratio=0.5)), encoder=ENCODER, size=64
    )
    own = fitted(folder, method, root / "cache")
    save(own, root / "detector", card=card(own))
    return SimpleNamespace(
        fitted=own, folder=root / "detector", train=folder, new=new, cache=root / "cache"
    )
