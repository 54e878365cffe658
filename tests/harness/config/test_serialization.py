"""Records: every experiment of every study comes back as it was."""

import importlib
import json
from pathlib import Path

import pytest

import sweeps
from harness.config.discovery import modules_of
from harness.config.moved import MOVED
from harness.config.serialization import from_dict, to_dict
from harness.errors import InputError
from sweeps.profiles import PROFILES

STUDIES = modules_of(sweeps)
OLD_EXPORT = Path(__file__).parents[2] / "data" / "export-87b34bb"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("study", STUDIES)
def test_experiments_come_back_as_they_were(study, profile):
    module = __import__(f"sweeps.{study}", fromlist=["experiments"])
    for experiment in module.experiments(profile):
        again = from_dict(json.loads(json.dumps(to_dict(experiment))))
        assert again == experiment
        assert again.key == experiment.key


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (
            {"class": "harness.noise.contamination.Nois"},
            "component 'harness.noise.contamination.Nois'",
        ),
        ({"class": "os.system", "command": "true"}, "component 'os.system'"),
        ({"class": "harness.nothing.Noise"}, "component 'harness.nothing.Noise'"),
        ({"class": "harness.noise.Noise", "colour": 1}, "sets 'colour' of harness.noise.Noise"),
    ],
)
def test_what_this_version_does_not_have_is_named(record, text):
    with pytest.raises(InputError, match=text):
        from_dict(record)


def test_settings_that_came_later_have_their_defaults():
    assert from_dict({"class": "harness.noise.Noise", "ratio": 0.2}).protocol == "meds"


def test_experiments_of_an_export_of_the_flat_layout_have_their_keys():
    records = json.loads((OLD_EXPORT / "experiments.json").read_text())
    assert len(records) == 10
    for key, record in records.items():
        assert from_dict(record).key == key


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_moved_class_is_where_the_table_says(old, new):
    module, _, name = new.rpartition(".")
    component = getattr(importlib.import_module(module), name)
    assert (component.__module__, component.__qualname__) == (module, name)
    assert old != new
