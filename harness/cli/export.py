"""Commands `export` and `merge`: results as files, without MLflow.   python -m harness export rho --out folder"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from harness.runtime.environment import prepare_environment
from harness.runtime.places import require_new


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a study's results into a portable folder that can be read without MLflow."""

    study: Annotated[str, tyro.conf.Positional]
    """Name of the study."""
    out: Path
    """Folder for the exported results; it must not exist yet."""
    profile: str = "laptop"
    """Profile with which the study ran."""
    runs: Path = Path("runs")
    """Folder of the results to export."""

    def run(self) -> int:
        """Export the results; return the exit code."""
        require_new(self.out, "--out")
        prepare_environment()
        from harness.tracking import Tracker
        from harness.tracking import export as portable
        from harness.tracking.connection import default_uri

        print(portable.export(Tracker(default_uri(self.runs), self.study), self.profile, self.out))
        return 0


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Merge exported folders of one study on the same data."""

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Exported folders to merge."""
    out: Path
    """Folder for the merged results; it must not exist yet."""
    on_conflict: Annotated[Literal["first"] | None, tyro.conf.arg(aliases=["--keep"])] = None
    """Folder whose numbers are kept if an experiment has different numbers in several folders: the first one given.
    Such differences occur, e.g., for networks trained on different kinds of processor. By default, folders with
    different numbers are refused. The old name of the option is --keep."""

    def run(self) -> int:
        """Merge the folders; return the exit code."""
        require_new(self.out, "--out")
        prepare_environment()
        from harness.tracking import export as portable

        merged = portable.merge(self.folders, self.out, self.on_conflict)
        if merged.differing:
            print(
                f"{merged.differing} experiments differ, by {merged.largest:.3g} at most (inf: a number is missing). "
                "The numbers of the folder given first were kept."
            )
        print(merged.folder)
        return 0
