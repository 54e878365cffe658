"""Packages with entry points, put on the path of this process as if pip had installed them."""

import sys
from pathlib import Path

from harness.config import discovery
from harness.datasets import discovery as datasets
from harness.noise import contamination


class Installed:
    """Folder of packages, which `install` fills."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.modules = folder, []

    def install(self, name: str, groups: dict[str, dict[str, str]], **modules: str) -> None:
        """Install a package.

        Args:
            name: Name of the package.
            groups: Names and modules of its entry points, by group without `meds_bench.`.
            modules: Texts of its modules by name.
        """
        about = self.folder / f"{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, points in groups.items()
            for line in (f"[meds_bench.{group}]", *(f"{k} = {v}" for k, v in points.items()))
        ]
        (about / "entry_points.txt").write_text("\n".join(lines))
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(text)
        self.modules += modules
        forget()

    def remove(self) -> None:
        """Forget the packages and their modules."""
        for module in self.modules:
            sys.modules.pop(module, None)
        forget()


def forget() -> None:
    """Forget which packages are installed, so that the next question looks again."""
    discovery.plugins.cache_clear()
    datasets.datasets.cache_clear()
    contamination.protocols.cache_clear()
