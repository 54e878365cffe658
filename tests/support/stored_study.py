"""A tracking store with a few finished experiments, and perhaps one that failed."""

from harness.detectors import MemoryDetector
from harness.experiment import run_prepared
from harness.memory import MemoryEnsemble
from harness.noise import Noise
from harness.runtime.compute import InProcess
from tests.support.tracking import ENDED, tracker_in


def stored(small, folder, ratios, *, failing=None, machine="two cores"):
    """A store with a memory at some ratios, and perhaps one that failed; return its tracker and experiments."""
    tracker = tracker_in(folder)
    cells = [
        small.experiment(MemoryDetector(memory=MemoryEnsemble(ratio=ratio)), noise=Noise(ratio=0.3))
        for ratio in (*ratios, *([failing] if failing else []))
    ]
    digest = small.prepared.data_digest
    parent = tracker.open_study("small", [e.key for e in cells], digest)
    for experiment in cells:
        log = tracker.start(
            experiment,
            name=experiment.name,
            parent=parent,
            data_digest=digest,
            environment={"git": "abc", "machine": machine, "workers": "2"},
        )
        if experiment.detector.memory.ratio == failing:
            log.fail("Traceback\nZeroDivisionError: no room")
        else:
            log.finish(
                run_prepared(experiment, small.prepared, data=small.data, compute=InProcess()),
                **ENDED,
            )
    return tracker, cells
