"""Keys of experiments: a finished experiment stays finished, whatever the code around it is called."""

import hashlib
import importlib

import sweeps
from harness.config.discovery import modules_of
from harness.errors import InputError, UsageError
from sweeps.profiles import PROFILES

COUNT = 27_635
DIGEST = "d17581e2c0ed5d0b915e4ce1296f8d40ff41505e256ce31300af0531b955df66"
"""SHA-256 over one line per experiment; an intended change of meaning changes it.

Two changes since 87b34bb. The profile folder got the training lengths of mtd: 380 of its 732 lines changed. Then masks
of cropping encoders were cut once, INP-Former and HVQ-Trans trained by epochs, and HVQ-Trans was scored as by its
authors: of 24,997 lines of the profiles mvtec_ad, visa, real_iad and loco, 21,130 changed. All other lines are those of
87b34bb.
"""
OTHERS = "dbcce16de77bf80e40b53db29f7f23cd00cc0aef5fa991a6b9b1555f212a1c38"
"""SHA-256 over the lines of all profiles except folder, each with its line end."""
OWN = "df2eae12f1066aa3e2df1488f12a3592c9681430bead54742869c2e0d6cc2425"
"""SHA-256 over the lines of laptop, smoke and mtd, each with its line end, unchanged since 87b34bb."""


def test_keys_of_all_experiments_of_all_studies_and_profiles_are_those_of_finished_runs():
    lines = [line for study in modules_of(sweeps) for line in _lines(study)]
    assert len(lines) == COUNT
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST
    others = "".join(f"{line}\n" for line in lines if line.split()[1] != "folder")
    assert hashlib.sha256(others.encode()).hexdigest() == OTHERS
    own = "".join(f"{line}\n" for line in lines if line.split()[1] in ("laptop", "smoke", "mtd"))
    assert hashlib.sha256(own.encode()).hexdigest() == OWN


def _lines(study):
    module = importlib.import_module(f"sweeps.{study}")
    for name, profile in sorted(PROFILES.items()):
        try:
            experiments = profile.cells(module.experiments(profile))
        except (InputError, UsageError) as error:  # a study that does not run on this profile
            yield f"{study} {name} {type(error).__name__}"
            continue
        yield from (f"{study} {name} {experiment.key}" for experiment in experiments)
