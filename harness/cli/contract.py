"""Command `contract`: check the components of a plug-in.   python -m harness contract my_package"""

from __future__ import annotations

import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.errors import paragraph
from harness.runtime.environment import prepare_environment


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Check the datasets, detectors and other components of an installed package on drawn images.

    The checks are those that the components of this software pass. The exit code is 1 if a component fails.
    """

    package: Annotated[str, tyro.conf.Positional]
    """Name of the installed package."""
    data: Path | None = None
    """Folder of images in the layout of the package's dataset; by default the example that its module writes."""

    def run(self) -> int:
        """Check all components and print their breaches; return the exit code."""
        prepare_environment()
        from harness.contract.package import check_package

        failed = 0
        with tempfile.TemporaryDirectory() as folder:
            for checked in check_package(self.package, self.data, Path(folder)):
                print(f"{'FAULT' if checked.breaches else 'ok   '} {checked.name}", flush=True)
                for sentence in (*checked.breaches, *filter(None, [checked.note])):
                    print(textwrap.indent(paragraph(sentence), " " * 6), flush=True)
                failed += bool(checked.breaches)
        print(f"{failed} components break their contract." if failed else "All contracts are kept.")
        return int(bool(failed))
