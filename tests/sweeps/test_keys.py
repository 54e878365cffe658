"""Keys of experiments: a finished experiment stays finished, whatever the code around it is called."""

import functools
import hashlib
import importlib

import sweeps
from harness.config.discovery import modules_of
from harness.errors import InputError, UsageError
from sweeps.profiles import PROFILES

COUNT = 26_969
DIGEST = "ade5da953694864cf10cba1743c8b8a1f765112c6f3001ed99f86ac8ffd04a60"
"""SHA-256 over one line per experiment; an intended change of meaning changes it.

Intended changes since 87b34bb:

* Profile folder: the training lengths of mtd (380 of 732 lines).
* Encoders that crop: masks are cut once. These are all methods of the profiles of the papers, except those below.
* INP-Former and HVQ-Trans in these profiles: training by epochs; HVQ-Trans with its authors' maps.
* UniAD and HVQ-Trans in all profiles: features of size 1.
* Reverse distillation and UniAD in the profiles of the papers: training by epochs, and the released features.
* EfficientAD-M and AD2 on the profile loco: calibration on the split validation.
"""
LATER = {
    "search": (333, "89f2001fd10faf695b6db4ac7673ff4e4dd202f9505670019959fcfbc79bd858"),
    "student": (6_468, "2f218b77806a0eab32c0efc1a3c0e9ac052aa47020e5778b8ff9eb911e0bff26"),
    "thresholds": (1_690, "c556896fb69ba12bc490e494f1345f4541400d2a5e7040e040ded0c2fce278ce"),
}
"""Number of lines and digest of each study that came or changed after 87b34bb. The other digests leave these out."""
LATER_METHODS = {
    "adaptive_memory": (147, "3b52b637ffda5f01cbab825e5ecb363b91a1dd353873be964dab5177e04c9f2a"),
    "anomaly_dino": (12, "e6df66068c0c5fe332d5537454a6fc6ef78841f9f26452989d827ccf2ce919d5"),
    "distilled models of rho": (
        28,
        "0fe4ea020e0efa911159932c6977a375dda276182318caffc11a6010b74a68eb",
    ),
    "distilled models of baselines": (
        14,
        "87e56780755c96d5fa1b836590f9d15e3de315c1e9f8425e2bfdc22fe531384b",
    ),
    "distilled models of systems": (
        42,
        "f33e7c4e843a54ec0a89cefeec836d14001c9301f49200cf8e63ca43c8a317a6",
    ),
    "llbnad": (36, "484210b2b94a9c17c405c3c3caf6022895ca983cd53e45f7ec3e3161dc6af6cf"),
    "comet": (36, "c080da428658f28f3c570543be7d3123e86284b264db7a2ed82695adf8992f95"),
    "rad": (12, "5ae3603d16fdbd15e863c2b80522da43ff1fe3d29a7a386c43f7e0177207d4bf"),
    "subspace_ad": (12, "75e4d6dda83992d8159b7ea867e4dca37bbd8c1bbf0fea80186159d205cde47c"),
    "musc": (36, "cc62f71ce57ad5f7fe2c60114b582fa62dbe07df189111b796c3adc89e457cc8"),
}
"""Number of lines and digest of each method that came after 87b34bb. The other digests leave these methods out.

LLBNAD on the profile laptop has changed since (12 lines): it had 2,000 training steps, and the plain network 225.
"""
UNCHANGED = "485d0af3b177eb348c433814c5d1f5a67f844a0e5fae7cae0eb25083f70b97a9"
"""SHA-256 over the lines of laptop, smoke and mtd without UniAD and HVQ-Trans (1,792 lines), as at 87b34bb."""


def test_keys_of_all_experiments_of_all_studies_and_profiles_are_those_of_finished_runs():
    lines = [(line, e) for line, e in _earlier_studies() if _method(line, e) not in LATER_METHODS]
    assert len(lines) == COUNT
    assert _digest(line for line, _ in lines) == DIGEST
    own = [(line, e) for line, e in lines if line.split()[1] in ("laptop", "smoke", "mtd")]
    assert _digest(line for line, e in own if e is None or not _rescaled(e)) == UNCHANGED


def test_keys_of_later_methods_are_those_of_finished_runs():
    lines = {
        method: [line for line, e in _earlier_studies() if _method(line, e) == method]
        for method in LATER_METHODS
    }
    found = {method: (len(own), _digest(own)) for method, own in lines.items()}
    assert found == LATER_METHODS


def test_keys_of_later_studies_are_those_of_finished_runs():
    lines = {study: [line for line, _ in _lines(study)] for study in LATER}
    assert {study: (len(own), _digest(own)) for study, own in lines.items()} == LATER


def _digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@functools.cache  # 27,000 keys take seconds
def _earlier_studies():
    return [line for study in modules_of(sweeps) if study not in LATER for line in _lines(study)]


def _method(line, experiment):
    study = line.partition(" ")[0]
    is_distilled = getattr(getattr(experiment, "detector", None), "finetuning", ...) is None
    if study in ("rho", "baselines", "systems") and is_distilled:
        return f"distilled models of {study}"
    return experiment and experiment.detector.name


def _rescaled(experiment):
    return hasattr(getattr(experiment.detector, "network", None), "feature_scale")


def _lines(study):
    """Yield a line and the experiment for each experiment of a study."""
    module = importlib.import_module(f"sweeps.{study}")
    for name, profile in sorted(PROFILES.items()):
        try:
            experiments = profile.cells(module.experiments(profile))
        except (InputError, UsageError) as error:  # a study that does not run on this profile
            yield f"{study} {name} {type(error).__name__}", None
            continue
        yield from ((f"{study} {name} {e.key}", e) for e in experiments)
