"""Cache entries: whole or not there, checked, and made by one process at a time."""

import contextlib
import json
import multiprocessing
import zlib

import numpy as np
import pytest

from harness.runtime.cache import (
    EntryWriter,
    fill_missing,
    is_complete,
    open_array,
    read_rows,
)
from harness.runtime.locks import file_lock
from tests.harness.runtime.test_checkpoints import Payload
from tests.support.waiting import wait_until


def make(target, value=1.0):
    draft = EntryWriter(target)
    draft.array("numbers", (100, 3), np.float32)[:] = value
    draft.publish()


def test_an_entry_is_there_only_when_it_is_published(tmp_path):
    target = tmp_path / "entry"
    draft = EntryWriter(target)
    draft.array("numbers", (2,), np.float32)[:] = 7
    assert not is_complete(target)
    draft.publish()
    assert is_complete(target)
    np.testing.assert_array_equal(open_array(target / "numbers.npy"), [7, 7])
    assert list(tmp_path.iterdir()) == [target]


def flip(file):
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-40])


def empty_manifest(file):
    file.with_name("manifest.json").write_text("")


def no_manifest(file):
    file.with_name("manifest.json").unlink()


@pytest.mark.parametrize("damage", [flip, cut, empty_manifest, no_manifest, lambda f: f.unlink()])
def test_a_damaged_entry_is_removed_with_a_warning(damage, tmp_path):
    target = tmp_path / "entry"
    make(target)
    damage(target / "numbers.npy")
    with pytest.warns(UserWarning, match="entry is damaged and is computed again"):
        assert not is_complete(target)
    assert not target.exists()


def entry_with(target, manifest):
    make(target)
    (target / "manifest.json").write_text(json.dumps(manifest))


def facts_of(file):
    return [file.stat().st_size, zlib.crc32(file.read_bytes())]


@pytest.mark.parametrize(
    "name",
    ["../outside.npy", "/outside.npy", "a/b.npy", "..", "", "outside.txt", "C:\\outside.npy"],
)
def test_a_manifest_cannot_name_a_file_outside_its_entry(name, tmp_path):
    """The file exists and its facts are right."""
    outside = tmp_path / "outside.npy"
    np.save(outside, np.ones(3))
    name = str(outside) if name == "/outside.npy" else name
    entry_with(tmp_path / "entry", {name: facts_of(outside)})
    with pytest.warns(UserWarning, match="entry is damaged"):
        assert not is_complete(tmp_path / "entry")
    assert outside.is_file()


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", "[" * 100_000, '{"numbers.npy": null}', "\x00"]
)
def test_a_manifest_of_another_form_is_a_damage(content, tmp_path):
    make(tmp_path / "entry")
    (tmp_path / "entry" / "manifest.json").write_text(content)
    with pytest.warns(UserWarning, match="entry is damaged"):
        assert not is_complete(tmp_path / "entry")


@pytest.mark.parametrize("name", ["numbers.npy", "manifest.json"])
def test_a_link_in_an_entry_is_a_damage_and_its_target_is_kept(name, tmp_path):
    target, outside = tmp_path / "entry", tmp_path / "outside"
    make(target)
    (target / name).rename(outside)
    (target / name).symlink_to(outside)
    with pytest.warns(UserWarning, match="entry is damaged"):
        assert not is_complete(target)
    assert outside.is_file()


def test_a_damaged_entry_that_is_a_link_is_removed_and_its_target_is_kept(tmp_path):
    make(tmp_path / "there")
    flip(tmp_path / "there" / "numbers.npy")
    (tmp_path / "entry").symlink_to(tmp_path / "there")
    with pytest.warns(UserWarning, match="entry is damaged"):
        assert not is_complete(tmp_path / "entry")
    assert not (tmp_path / "entry").is_symlink()
    assert (tmp_path / "there" / "numbers.npy").is_file()


def test_an_array_of_python_objects_is_a_damage_and_runs_nothing(tmp_path):
    mark, file = tmp_path / "mark", tmp_path / "entry" / "numbers.npy"
    make(tmp_path / "entry")
    np.save(file, np.array([Payload(mark)], dtype=object), allow_pickle=True)
    (file.with_name("manifest.json")).write_text(json.dumps({file.name: facts_of(file)}))
    with pytest.warns(UserWarning, match="entry is damaged"):
        assert not is_complete(tmp_path / "entry")
    assert not mark.exists()


def test_an_entry_made_anew_is_read_anew(tmp_path):
    target = tmp_path / "entry"
    make(target, 1)
    assert open_array(target / "numbers.npy")[0, 0] == 1
    flip(target / "numbers.npy")
    with pytest.warns(UserWarning, match="damaged"):
        assert not is_complete(target)
    make(target, 2)
    assert open_array(target / "numbers.npy")[0, 0] == 2


def test_the_second_of_two_equal_writers_gives_way(tmp_path):
    target = tmp_path / "entry"
    late = EntryWriter(target)
    late.array("numbers", (1,), np.float32)[:] = 2
    late.folder = late.folder.rename(tmp_path / "late")  # as another process would have it
    make(target, 1)
    late.publish()
    assert open_array(target / "numbers.npy")[0, 0] == 1
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_dead_process_left_is_cleared_away(tmp_path):
    target = tmp_path / "entry"
    (tmp_path / "entry.12345").mkdir()
    (tmp_path / "entry.12345" / "numbers.npy").write_bytes(b"half of it")
    with fill_missing("numbers", [target]) as missing:
        assert missing == [target]
        make(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry", "numbers.lock"]


def _run_three(function, *arguments):
    """Run a function in three processes at once, each with a file of its own for what it prints of waiting."""
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_run_noting, args=(number, function, *arguments))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def _run_noting(number, function, folder):
    with (
        (folder / f"{number}.noted").open("w", buffering=1) as noted,
        contextlib.redirect_stderr(noted),
    ):
        function(folder)


def _until_the_others_wait(folder):
    """Return when the two other processes have said that they wait for this one's lock."""
    wait_until(
        lambda: sum("waiting for it" in file.read_text() for file in folder.glob("*.noted")) == 2
    )


def _make_late(folder):
    target = folder / "entry"
    with fill_missing("numbers", [target, target.with_name("other")]) as missing:
        for entry in missing:
            with (folder / "log").open("a") as file:
                file.write(f"{entry.name}\n")
            _until_the_others_wait(folder)
            make(entry)


def test_three_processes_that_miss_the_same_entries_make_each_once(tmp_path):
    _run_three(_make_late, tmp_path)
    assert sorted((tmp_path / "log").read_text().split()) == ["entry", "other"]


def test_rows_are_read_as_they_are_mapped(tmp_path):
    make(tmp_path / "entry")
    file = tmp_path / "entry" / "numbers.npy"
    rows = np.array([5, 0, 99, 5])
    np.testing.assert_array_equal(read_rows(file, rows), np.load(file)[rows])


def test_a_draft_that_fails_leaves_no_files(tmp_path):
    def fail(target):
        with fill_missing("numbers", [target]):
            EntryWriter(target).array("numbers", (100, 3), np.float32)
            raise ArithmeticError("in the middle")

    with pytest.raises(ArithmeticError):
        fail(tmp_path / "entry")
    assert [path.name for path in tmp_path.iterdir()] == ["numbers.lock"]


def _add_one(folder):
    file = folder / "count"
    with file_lock(folder / "count.lock", "counts"):
        count = int(file.read_text())
        _until_the_others_wait(folder)
        file.write_text(str(count + 1))


def test_what_a_process_does_alone_no_other_does_meanwhile(tmp_path):
    (tmp_path / "count").write_text("0")
    _run_three(_add_one, tmp_path)
    assert (tmp_path / "count").read_text() == "3"
