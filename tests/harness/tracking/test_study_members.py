"""Which experiments a study's report is about: what commands ran of it, at once or one after the other."""

import json

import pytest
from mlflow import MlflowClient

from harness.detectors import MemoryDetector
from harness.tracking import study_members as key_lists
from harness.tracking.study_members import StudyScope
from tests.support.tracking import tracker_in

DATA, OTHER = "d" * 16, "e" * 16
PART = StudyScope(whole=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def tracker(store, request):
    """A study of its own for every test, in one database."""
    return tracker_in(store, request.node.name)


def keys_after(tracker, *commands):
    """Keys of the study after commands, each its keys and what else `open_study` is told."""
    for keys, *rest in commands:
        tracker.open_study("laptop", list(keys), *(rest or [DATA]))
    return "".join(sorted(tracker.keys("laptop")))


def test_part_of_a_study_adds_to_what_is_listed_and_the_whole_replaces_it(tracker):
    assert keys_after(tracker, ("abc",), ("a", DATA, PART)) == "abc"
    assert keys_after(tracker, ("d", DATA, PART), ("e", DATA, PART)) == "abcde"
    assert keys_after(tracker, ("ab",)) == "ab"  # a newer version, which has no c
    assert keys_after(tracker, ("f", DATA, PART)) == "abf"


def test_parts_alone_are_a_study(tracker):
    assert keys_after(tracker, ("a", DATA, PART), ("b", DATA, PART)) == "ab"


def test_other_data_and_another_variant_have_lists_of_their_own(tracker):
    varied = StudyScope(whole=False, variant="protocol softpatch")
    assert keys_after(tracker, ("abc",), ("d", OTHER, PART)) == "d"
    assert keys_after(tracker, ("x", DATA, varied), ("y", DATA, varied)) == "xy"
    assert keys_after(tracker, ("a", DATA, PART)) == "abc"


def test_rounds_of_one_command_end_with_the_experiments_of_all(tracker):
    assert keys_after(tracker, ("ab",), ("abcd",), ("abcde",)) == "abcde"
    assert keys_after(tracker, ("ab",), ("abcd",), ("abcdf",)) == "abcdf"


def test_commands_that_did_not_see_each_other_lose_nothing(tracker, monkeypatch):
    """As if each had looked before the other wrote."""
    keys_after(tracker, ("ab",))
    really, before = key_lists._lists, []

    def late(*arguments):
        before[:] = before or [really(*arguments)]
        return before[0]

    with monkeypatch.context() as patch:
        patch.setattr(key_lists, "_lists", late)
        for keys, scope in (("c", PART), ("abd", StudyScope()), ("e", PART)):
            tracker.open_study("laptop", list(keys), DATA, scope)
    assert keys_after(tracker) == "abcde"


def test_what_is_listed_already_is_not_written_again(tracker):
    client = MlflowClient(tracking_uri=tracker.uri)
    parent = tracker.open_study("laptop", ["a", "b"], DATA)
    for scope in (StudyScope(), PART, StudyScope()):
        tracker.open_study("laptop", ["a", "b"], DATA, scope)
    tracker.open_study("laptop", ["a"], DATA, PART)
    assert len(client.list_artifacts(parent, key_lists.FOLDER)) == 1


def test_the_list_of_an_older_version_counts_until_the_whole_study_runs(tracker):
    client = MlflowClient(tracking_uri=tracker.uri)
    parent = tracker.open_study("laptop", [], DATA)
    client.log_text(parent, json.dumps(["a", "b"]), key_lists.LEGACY_FILE)
    assert keys_after(tracker) == "ab"
    assert keys_after(tracker, ("c", DATA, PART)) == "abc"
    assert keys_after(tracker, ("ac",)) == "ac"


def test_failures_are_those_of_experiments_that_the_study_still_has(tracker, small):
    old, new = (small.experiment(MemoryDetector(), seed=seed) for seed in (0, 1))
    for experiment in (old, new):
        parent = tracker.open_study("laptop", [experiment.key], DATA)
        of_run = {"name": "one", "parent": parent, "data_digest": DATA, "environment": {}}
        tracker.start(experiment, **of_run).fail("it broke")
    assert list(tracker.runs("laptop")["key"]) == [new.key]
