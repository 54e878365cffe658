"""Keys of experiments: a finished experiment stays finished, whatever the code around it is called."""

import hashlib
import importlib

import sweeps
from harness.config.discovery import modules_of
from harness.errors import InputError, UsageError
from sweeps.profiles import PROFILES

COUNT = 27_635
DIGEST = "af54a6e51617d9dc83d1da9a5122790fd5069bdb7fe78eaf2796828b86bbfcf3"
"""SHA-256 over one line per experiment, as revision 87b34bb had it; an intended change of meaning changes it."""


def test_keys_of_all_experiments_of_all_studies_and_profiles_are_those_of_finished_runs():
    lines = [line for study in modules_of(sweeps) for line in _lines(study)]
    assert len(lines) == COUNT
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST


def _lines(study):
    module = importlib.import_module(f"sweeps.{study}")
    for name, profile in sorted(PROFILES.items()):
        try:
            experiments = profile.cells(module.experiments(profile))
        except (InputError, UsageError) as error:  # a study that does not run on this profile
            yield f"{study} {name} {type(error).__name__}"
            continue
        yield from (f"{study} {name} {experiment.key}" for experiment in experiments)
