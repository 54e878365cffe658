"""Command `convert`: a fitted detector as an ONNX file.   python -m harness convert detector --out model.onnx"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.errors import UsageError
from harness.progress import show_progress
from harness.runtime.places import require_new


@dataclass(frozen=True, kw_only=True)
class Convert:
    """Write a detector that `fit` wrote as an ONNX file, which other programs run without Python.

    The file takes resized images and gives anomaly maps and image scores. Its metadata describes both.
    """

    detector: Annotated[Path, tyro.conf.Positional]
    """Folder of the detector."""
    out: Path = Path("model.onnx")
    """ONNX file to write; it must not exist yet."""

    def run(self) -> int:
        """Write the file; return the exit code."""
        if self.out.suffix != ".onnx":
            raise UsageError(f"--out must be a file whose name ends in .onnx, got {self.out}.")
        require_new(self.out, "--out")
        from harness.inference.onnx_export import export_onnx, require_packages

        require_packages()
        with show_progress("converting the detector", 2) as bar:
            from harness.inference.saved import load

            fitted = load(self.detector)
            bar.update()
            self.out.parent.mkdir(parents=True, exist_ok=True)
            found = export_onnx(fitted, self.out)
            bar.update()
        print(
            f"{self.out}: {fitted.detector.title}, {self.out.stat().st_size / 1e6:.1f} MB. On three drawn images, "
            f"onnxruntime differs from Python by {found:.1g} at most."
        )
        return 0
