"""Shared fixtures: a small drawn dataset, its encoded features, and one Ray cluster for the tests that need it."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.compute import InProcess
from harness.datasets.textures import Textures
from harness.detectors import MemoryDetector
from harness.encoders import Encoder
from harness.environment import prepare_environment
from harness.experiment import Experiment, Prepared, prepare
from harness.networks.dinomaly import Dinomaly

prepare_environment()

SMALL = Textures(train=8, good=4, defective=10)
ENCODER = Encoder(image_size=128)
NETWORK = Dinomaly(width=16, depth=2, heads=2, ramp_steps=4)


@dataclass(frozen=True)
class Small:
    """Where the small dataset lies, and its features."""

    data: Path
    cache: Path
    prepared: Prepared

    def experiment(self, detector, **changes) -> Experiment:
        settings = {"dataset": SMALL, "encoder": ENCODER, "map_size": 64}
        return Experiment(detector=detector, **{**settings, **changes})


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    root = tmp_path_factory.mktemp("small")
    experiment = Experiment(dataset=SMALL, encoder=ENCODER, detector=MemoryDetector())
    data, cache = root / "textures", root / "cache"
    prepared = prepare(experiment, data=data, cache=cache, compute=InProcess())
    return Small(data, cache, prepared)


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory):
    """A private cluster with four slots on whatever machine this is."""
    from harness.cluster.session import session

    with session(cores=4):
        yield


@pytest.fixture
def magnetic_tile() -> Path:
    """Folder of the real magnetic-tile images, which are not part of the project."""
    folder = os.environ.get("MEDS_MAGNETIC_TILE")
    if folder is None:
        pytest.skip(
            "set MEDS_MAGNETIC_TILE to the folder with MT_Free etc. to run this on the real images"
        )
    return Path(folder)
