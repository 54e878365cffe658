"""Caches that share an address: whole entries and checkpoints come from there, and nothing else does."""

import sys
import uuid
from dataclasses import replace

import fsspec
import numpy as np
import pytest

from harness.detectors import MemoryDetector
from harness.errors import InputError
from harness.experiment import run
from harness.features import CategoryFeatures
from harness.memory import MemoryEnsemble
from harness.runtime.cache import EntryWriter, fill_missing, is_complete, open_array
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess
from harness.runtime.remote import absolute, mirror, remote_of
from harness.tracking.connection import check_artifact_store
from harness.training import run_phase
from harness.training.optimizer import TrainingConfig
from harness.training.phases import NetworkLoss, Phase
from tests.harness.runtime.test_cache import no_manifest
from tests.support.dataset import NETWORK

NUMBERS = "features/entry/numbers.npy"


@pytest.fixture(params=["file", "memory"])
def url(request, tmp_path):
    place = {"file": tmp_path.as_uri(), "memory": f"memory://{uuid.uuid4().hex}"}
    return f"{place[request.param]}/remote"


@pytest.fixture
def caches(tmp_path, url):
    """Two caches that share an address."""
    both = tmp_path / "here", tmp_path / "there"
    for cache in both:
        mirror(cache, url)
    return both


def make(cache, value):
    """Make the entry where it is missing; return its bytes and whether it was made."""
    target = cache / "features" / "entry"
    with fill_missing("numbers", [target]) as missing:
        for entry in missing:
            draft = EntryWriter(entry)
            draft.array("numbers", (100, 3), np.float32)[:] = value
            draft.array("others", (2,), np.int64)[:] = value
            draft.publish()
    assert is_complete(target)
    assert not list(target.parent.glob("entry.*"))
    content = {file.name: file.read_bytes() for file in target.glob("*.npy")}
    return content, bool(missing)


def remote(url, name):
    files, place = fsspec.core.url_to_fs(f"{url}/{name}")
    return files, place


def test_an_empty_cache_is_filled_from_the_mirror(caches):
    here, there = caches
    content, made = make(here, 1)
    assert made
    assert make(there, 2) == (content, False)


def test_a_mirror_gets_what_a_cache_had_before_and_the_manifest_last(tmp_path, url, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    content, _ = make(here, 1)
    mirror(here, url)
    saved = []
    save = type(remote_of(here / "x")).save
    monkeypatch.setattr(
        "harness.runtime.remote.RemoteStore.save",
        lambda self, file: (saved.append(file.name), save(self, file)),
    )
    assert make(here, 2) == (content, False)
    assert saved == ["numbers.npy", "others.npy", "manifest.json"]
    assert make(here, 2) == (content, False)
    assert len(saved) == 3  # what is there is not sent again
    mirror(there, url)
    assert make(there, 3) == (content, False)


def damaged(files, place):
    content = bytearray(files.cat_file(place))
    content[-5] ^= 1
    files.pipe_file(place, bytes(content))


def half(files, place):
    files.pipe_file(place, files.cat_file(place)[:-40])


def gone(files, place):
    files.rm(place)


@pytest.mark.parametrize("name", [NUMBERS, "features/entry/manifest.json"])
@pytest.mark.parametrize("damage", [damaged, half, gone])
@pytest.mark.filterwarnings("ignore:.*entry is damaged and is computed again")
def test_a_damaged_or_half_saved_entry_is_made_again_and_replaced(caches, url, damage, name):
    here, there = caches
    make(here, 1)
    damage(*remote(url, name))
    content, made = make(there, 2)
    assert made
    assert open_array(there / NUMBERS)[0, 0] == 2
    third = here.with_name("third")
    mirror(third, url)
    assert make(third, 3) == (content, False)


@pytest.mark.parametrize("name", ["../../../outside.npy", "/outside.npy", "a/b.npy", "..", "x.txt"])
@pytest.mark.filterwarnings("ignore:.*entry is damaged and is computed again")
def test_a_manifest_of_the_mirror_cannot_write_outside_its_entry(caches, url, tmp_path, name):
    here, there = caches
    make(here, 1)
    files, place = remote(url, "features/entry/manifest.json")
    content = files.cat_file(place).replace(b"numbers.npy", name.encode())
    files.pipe_file(place, content)
    if name not in ("/outside.npy", "..", "a/b.npy"):
        files.copy(
            place.replace("manifest.json", "numbers.npy"), place.replace("manifest.json", name)
        )
    before = {file for file in tmp_path.rglob("*") if there not in file.parents}
    assert make(there, 2)[1]
    after = {file for file in tmp_path.rglob("*") if there not in file.parents}
    assert after <= before


def test_a_damaged_entry_of_the_mirror_is_named(caches, url):
    here, there = caches
    make(here, 1)
    damaged(*remote(url, NUMBERS))
    with pytest.warns(UserWarning, match=r"remote/features/entry is damaged and is computed again"):
        make(there, 2)


def test_a_damaged_entry_of_a_cache_comes_from_the_mirror(caches):
    here, _ = caches
    content, _ = make(here, 1)
    no_manifest(here / NUMBERS)
    with pytest.warns(UserWarning, match="damaged"):
        assert make(here, 2) == (content, False)


def test_a_cache_that_is_no_longer_mirrored_keeps_to_itself(caches, url):
    here, there = caches
    mirror(here, None)
    make(here, 1)
    assert make(there, 2)[1]


def test_checkpoints_go_on_in_another_cache_and_are_cleared_everywhere(caches, small, url):
    """The other cache has the same features in another folder."""
    here, there = caches
    images = small.train_images
    settings = {"network": NETWORK, "training": TrainingConfig(steps=4, batch_size=4)}
    phase = Phase(**settings, images=images, objective=NetworkLoss())
    undisturbed = InProcess().train(run_phase, phase)

    def stop(name, step, *_):
        if step == 3:
            raise KeyboardInterrupt

    first, second = (Checkpoints(cache / "checkpoints" / "key", every=1) for cache in caches)
    with pytest.raises(KeyboardInterrupt):
        InProcess(stop, first).train(run_phase, phase)
    (there / "features").mkdir()
    for category in images.categories:
        (there / "features" / category.features.folder.name).symlink_to(category.features.folder)
    moved = [
        replace(c, features=CategoryFeatures(there / "features" / c.features.folder.name))
        for c in images.categories
    ]
    phase = replace(phase, images=replace(images, categories=tuple(moved)))
    steps = []
    trained = InProcess(lambda name, step, *_: steps.append(step), second).train(run_phase, phase)
    assert steps[0] in (3, 4)
    np.testing.assert_array_equal(trained.losses_T, undisturbed.losses_T)
    second.clear()
    third = Checkpoints(here.with_name("third") / "checkpoints" / "key")
    mirror(here.with_name("third"), url)
    assert third.load(phase) is None
    second.clear()  # nothing is there any more


def test_a_half_saved_checkpoint_is_named_and_not_used(caches, url):
    first, second = (Checkpoints(cache / "checkpoints") for cache in caches)
    first.save("phase", {"step": 7})
    half(*remote(url, f"checkpoints/{first.file('phase').name}"))
    with pytest.warns(UserWarning, match="is damaged.*: training restarts at its first step"):
        assert second.load("phase") is None


class Reading(InProcess):
    """Computes nothing that experiments share."""

    def map(self, function, items, *, label):
        assert not list(items), label
        return iter(())


def test_an_experiment_takes_all_that_is_shared_from_a_mirror(small, tmp_path, monkeypatch):
    url = (tmp_path / "remote").as_uri()
    experiment = small.experiment(MemoryDetector(memory=MemoryEnsemble(ratio=0.5)))
    results = []
    for cache, compute in ((tmp_path / "here", InProcess()), (tmp_path / "there", Reading())):
        mirror(cache, url)
        results.append(run(experiment, data=small.data, cache=cache, compute=compute))
        # Scores are asked for again while the experiment runs, in its own process.
        monkeypatch.setattr("harness.memory.scores.InProcess", Reading)
    first, second = (result.metrics.reset_index(drop=True) for result in results)
    assert first.equals(second)
    np.testing.assert_array_equal(results[0].scores["score"], results[1].scores["score"])
    here, there, remote = (
        {file.relative_to(folder) for file in folder.rglob("*.npy")}
        for folder in (tmp_path / "here", tmp_path / "there", tmp_path / "remote")
    )
    assert remote == here
    # Who has the scores needs no table.
    assert {file.stem for file in remote - there} == {"distances", "columns"}


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("nonsense://bucket/x", "Protocol not known: nonsense"),
        ("s3://bucket/x", "needs a Python package that is not installed: Install s3fs"),
        ("://", "names no folder"),
        ("://x", "names no folder"),
        ("file://", "names no folder"),
        ("file:///", "names no folder"),
        ("s3://", "names no folder"),
        ("dir://x", "cannot be used: .* Give a folder, or an address such as"),
        ("github://x", "cannot be used: .* Give a folder, or an address such as"),
        ("reference://x", "cannot be used: .* Give a folder, or an address such as"),
    ],
)
def test_an_address_that_nothing_here_can_open_is_refused(tmp_path, address, text):
    if address.startswith("s3://bucket"):
        try:
            import s3fs  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("s3fs is installed")
    with pytest.raises(InputError, match=text):
        mirror(tmp_path, address)
    assert not list(tmp_path.iterdir())


def test_an_address_is_the_same_in_every_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("file://remote/x/") == (tmp_path / "remote" / "x").as_uri()


def test_a_mirror_that_cannot_be_written_is_said_and_loses_nothing(tmp_path):
    (tmp_path / "remote").write_text("a file")
    cache = tmp_path / "cache"
    mirror(cache, (tmp_path / "remote").as_uri())
    draft = EntryWriter(cache / "features" / "entry")
    draft.array("numbers", (2,), np.float32)[:] = 1
    with pytest.raises(InputError, match="Check that it exists, that this user may read and write"):
        draft.publish()
    assert is_complete(cache / "features" / "entry")


@pytest.mark.parametrize("address", ["memory://x/artifacts", "s3://bucket/artifacts"])
def test_where_mlflow_cannot_keep_artifacts_is_refused(address, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(InputError, match="MLflow needs the package boto3"):
        check_artifact_store(address)


def test_artifacts_can_be_kept_in_a_folder_that_is_not_there_yet(tmp_path):
    address = (tmp_path / "artifacts").as_uri()
    assert check_artifact_store(address) == address
