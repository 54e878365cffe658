"""Keys of experiments: a finished experiment stays finished, whatever the code around it is called."""

import hashlib
import importlib

import sweeps
from harness.config.discovery import modules_of
from harness.errors import InputError, UsageError
from sweeps.profiles import PROFILES

COUNT = 27_635
DIGEST = "2fc736b731b91c67ccb209f4bf5d04a99cc24b7b1ec610957264f922f161aa26"
"""SHA-256 over one line per experiment; an intended change of meaning changes it.

The profile folder got the training lengths of mtd: 380 of its 732 lines changed. All other lines are those of 87b34bb.
"""
OTHERS = "0e2a7e0cdcd10b25c56250730d472a90ef81671e5174a9870fbee3eb54a81130"
"""SHA-256 over the lines of all profiles except folder, each with its line end, unchanged since 87b34bb."""


def test_keys_of_all_experiments_of_all_studies_and_profiles_are_those_of_finished_runs():
    lines = [line for study in modules_of(sweeps) for line in _lines(study)]
    assert len(lines) == COUNT
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST
    others = "".join(f"{line}\n" for line in lines if line.split()[1] != "folder")
    assert hashlib.sha256(others.encode()).hexdigest() == OTHERS


def _lines(study):
    module = importlib.import_module(f"sweeps.{study}")
    for name, profile in sorted(PROFILES.items()):
        try:
            experiments = profile.cells(module.experiments(profile))
        except (InputError, UsageError) as error:  # a study that does not run on this profile
            yield f"{study} {name} {type(error).__name__}"
            continue
        yield from (f"{study} {name} {experiment.key}" for experiment in experiments)
