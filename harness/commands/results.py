"""Results outside MLflow, and stored experiments run again.   python -m harness export rho --out folder"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from harness import portable
from harness.environment import prepare_environment
from harness.store import default_uri
from harness.tracking import Tracker

SHOWN = 10
"""Differences that are printed."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a study's results into a folder that can be carried and read without MLflow."""

    study: Annotated[str, tyro.conf.Positional]
    """Which study."""
    out: Path
    """The folder; it must not exist yet."""
    profile: str = "laptop"
    """The profile it ran on."""
    runs: Path = Path("runs")
    """Folder for results."""

    def run(self) -> int:
        """Export; return the exit code."""
        prepare_environment()
        print(portable.export(Tracker(default_uri(self.runs), self.study), self.profile, self.out))
        return 0


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Put exported folders of one study on the same data together."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The exported folders."""
    out: Path
    """The folder for all; it must not exist yet."""
    keep: Literal["first"] | None = None
    """Of an experiment with other numbers in one folder than in another, keep those of the folder named first, as for
    networks that were trained on processors of several kinds; by default such folders are refused."""

    def run(self) -> int:
        """Merge; return the exit code."""
        prepare_environment()
        merged = portable.merge(self.folders, self.out, self.keep)
        if merged.differing:
            print(
                f"{merged.differing} experiments differ, by {merged.largest:.3g} at most: the folder named first counts"
            )
        print(merged.folder)
        return 0


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Run a stored experiment again and print how far its numbers are from the stored ones; exit code 1 if any is."""

    run_id: Annotated[str, tyro.conf.Positional]
    """Id of the run, as in MLflow and in runs.csv of an exported study."""
    data: Path
    """Root folder of its dataset."""
    runs: Path = Path("runs")
    """Folder for results."""
    cache: Path = Path("cache")
    """Folder with room for what is computed meanwhile: nothing that lies there is read, and nothing stays."""

    def run(self) -> int:
        """Verify; return the exit code."""
        prepare_environment()
        from harness.cluster.on_ray import OnRay, hire
        from harness.cluster.session import session
        from harness.verify import verify

        tracker = Tracker(default_uri(self.runs), "verify")
        tracker.run(self.run_id).record()  # before Ray starts
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as scratch, session(), hire() as crew:
            compute = OnRay(Path(scratch), crew=crew)
            found = verify(tracker, self.run_id, data=self.data, cache=self.cache, compute=compute)
        off = found.values[found.values["difference"] != 0]
        counts = f"{len(found.values)} numbers, {len(off)} differ, by {found.largest:.3g} at most"
        print(f"{found.experiment.name}: {counts}")
        if len(off):
            order = off["difference"].abs().sort_values(ascending=False).index
            print(off.loc[order].head(SHOWN).to_markdown(index=False, floatfmt=".6f"))
            for name, (then, now) in found.surroundings.items():
                print(f"{name} was {then}, is {now}")
        return int(bool(len(off)))
