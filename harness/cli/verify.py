"""Command `verify`: run a stored experiment again and compare.   python -m harness verify RUN --data folder"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.runtime.environment import prepare_environment
from harness.runtime.places import require_writable
from harness.runtime.scratch import scratch_folder

SHOWN = 10
"""Maximum number of printed differences."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Run a stored experiment again and print the differences from the stored numbers.

    The exit code is 1 if a number differs.
    """

    run_id: Annotated[str, tyro.conf.Positional]
    """Id of the run, as in MLflow and in runs.csv of an exported study."""
    data: Path
    """Root folder of the experiment's dataset."""
    runs: Path = Path("runs")
    """Folder of the stored results."""
    cache: Path = Path("cache")
    """Scratch folder; existing cache entries are ignored and everything written is deleted."""

    def run(self) -> int:
        """Run and compare the experiment; return the exit code."""
        prepare_environment()
        from harness.tracking import Tracker
        from harness.tracking.connection import default_uri

        require_writable(self.cache, "--cache")
        tracker = Tracker(default_uri(self.runs), "verify")
        before = tracker.run(self.run_id)
        before.check_injected()
        before.record()  # raises for unreadable runs before Ray is imported and starts
        from harness.cluster.ray_compute import RayCompute, start_pool
        from harness.cluster.session import session
        from harness.experiment.reproduce import verify

        self.cache.mkdir(parents=True, exist_ok=True)
        with (
            scratch_folder(self.cache, "verify-") as scratch,
            session(),
            start_pool() as pool,
        ):
            compute = RayCompute(scratch, pool=pool)
            found = verify(before, data=self.data, cache=self.cache, compute=compute)
        off = found.values[found.values["difference"] != 0]
        counts = f"{len(found.values)} numbers, {len(off)} differ, by {found.largest:.3g} at most"
        print(f"{found.experiment.name}: {counts}")
        if len(off):
            order = off["difference"].abs().sort_values(ascending=False).index
            print(off.loc[order].head(SHOWN).to_markdown(index=False, floatfmt=".6f"))
            for name, (then, now) in found.environment_changes.items():
                print(f"{name} was {then}, is now {now}")
        return int(bool(len(off)))
