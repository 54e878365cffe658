"""Shared fixtures: the small dataset with its features, and one Ray cluster for the tests that need it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image
from skimage import data

from harness.detectors import MemoryDetector
from harness.experiment import Experiment, prepare
from harness.runtime.compute import InProcess
from harness.runtime.environment import prepare_environment
from tests.support.commands import BUSY_MACHINE
from tests.support.dataset import ENCODER, SMALL, Small

os.environ |= BUSY_MACHINE
prepare_environment()
settings.register_profile("meds", deadline=None)  # how long an example takes says nothing here
settings.load_profile("meds")


def pytest_collection_modifyitems(items):
    """Files that start Ray first, so that no process is at one of them when the others have nothing left."""
    long = {item.path for item in items if item.get_closest_marker("ray")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Small:
    root = tmp_path_factory.mktemp("small")
    experiment = Experiment(dataset=SMALL, encoder=ENCODER, detector=MemoryDetector())
    data, cache = root / "textures", root / "cache"
    prepared = prepare([experiment], data=data, cache=cache, compute=InProcess())
    return Small(data, cache, prepared[experiment.key])


@pytest.fixture(scope="session")
def ray_cluster():
    """A private cluster with four slots on whatever machine this is."""
    from harness.cluster.session import session

    with session(cores=4):
        yield


@pytest.fixture
def photograph(tmp_path) -> Path:
    """A file with a photograph of a cat."""
    path = tmp_path / "photograph.png"
    Image.fromarray(data.chelsea()).save(path)
    return path


@pytest.fixture
def magnetic_tile() -> Path:
    """Folder of the real magnetic-tile images, which are not part of the project."""
    folder = os.environ.get("MEDS_MAGNETIC_TILE")
    if folder is None:
        pytest.skip(
            "set MEDS_MAGNETIC_TILE to the folder with MT_Free etc. to run this on the real images"
        )
    return Path(folder)
