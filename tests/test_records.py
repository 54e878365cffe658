"""Records: every experiment of every study comes back as it was."""

import json
import pkgutil

import pytest

import sweeps
from harness.errors import InputError
from harness.records import from_record, to_record
from sweeps.__main__ import SUPPORT
from sweeps.profiles import PROFILES

STUDIES = [m.name for m in pkgutil.iter_modules(sweeps.__path__) if m.name not in SUPPORT]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("study", STUDIES)
def test_experiments_come_back_as_they_were(study, profile):
    module = __import__(f"sweeps.{study}", fromlist=["experiments"])
    for experiment in module.experiments(profile):
        again = from_record(json.loads(json.dumps(to_record(experiment))))
        assert again == experiment
        assert again.key == experiment.key


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"class": "harness.noise.Nois"}, "component 'harness.noise.Nois'"),
        ({"class": "os.system", "command": "true"}, "component 'os.system'"),
        ({"class": "harness.nothing.Noise"}, "component 'harness.nothing.Noise'"),
        ({"class": "harness.noise.Noise", "colour": 1}, "sets 'colour' of harness.noise.Noise"),
    ],
)
def test_what_this_version_does_not_have_is_named(record, text):
    with pytest.raises(InputError, match=text):
        from_record(record)


def test_settings_that_came_later_have_their_defaults():
    assert from_record({"class": "harness.noise.Noise", "ratio": 0.2}).protocol == "meds"
