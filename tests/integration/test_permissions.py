"""Folders of results and caches belong to a group or to one user, as the umask of their makers says."""

import os
import stat

import numpy as np
import pytest

from harness.detectors import MemoryDetector
from harness.experiment import prepare
from harness.memory import MemoryEnsemble
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess
from harness.runtime.locks import file_lock
from harness.runtime.remote import mirror
from harness.tracking import export as portable
from tests.support.stored_study import stored


@pytest.fixture(params=[0o002, 0o077], ids=["a group's", "private"])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_every_file_and_folder_has_the_permissions_of_the_umask(small, umask, tmp_path):
    """Results, their export, and all kinds of files in a cache; no file is narrower or wider than the rule says."""
    root = tmp_path / "project"
    runs, cache = root / "runs", root / "cache"
    mirror(cache, (root / "mirror").as_uri())
    experiment = small.experiment(MemoryDetector(memory=MemoryEnsemble(ratio=0.5)))
    prepare([experiment], data=small.data, cache=cache, compute=InProcess())
    checkpoints = Checkpoints(cache / "checkpoints" / "key")
    checkpoints.save("training", {"step": 1, "weights": np.zeros(3)})
    runs.mkdir()
    with file_lock(runs / "opening.lock", "opens a study"):
        tracker, _ = stored(small, runs, (0.5,))
    portable.export(tracker, "small", root / "exported")

    paths = list(root.rglob("*"))
    assert {"mlflow.db", "images.json", "opening.lock", "manifest.json"} <= {p.name for p in paths}
    for path in paths:
        widest = 0o777 if path.is_dir() else 0o666
        assert stat.S_IMODE(path.stat().st_mode) == widest & ~umask, path
