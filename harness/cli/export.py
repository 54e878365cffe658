"""Results outside MLflow: export and merge.   python -m harness export rho --out folder"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from harness.runtime.environment import prepare_environment


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
        from harness.tracking import Tracker
        from harness.tracking import export as portable
        from harness.tracking.connection import default_uri

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
        from harness.tracking import export as portable

        merged = portable.merge(self.folders, self.out, self.keep)
        if merged.differing:
            print(
                f"{merged.differing} experiments differ, by {merged.largest:.3g} at most: the folder named first counts"
            )
        print(merged.folder)
        return 0
