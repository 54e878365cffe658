"""Command `pretrain-teacher`: teacher for EfficientAD and AD2.   python -m harness pretrain-teacher folder/of/images"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.datasets import images_below
from harness.errors import UsageError
from harness.runtime.places import require_writable
from harness.runtime.progress_bars import ProgressBars

if TYPE_CHECKING:
    from harness.features.teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class PretrainTeacher:
    """Distil a timm encoder into a small network, the teacher of EfficientAD.

    If the command is interrupted, the same command resumes from the last checkpoint.

    Published settings: --encoder wide_resnet101_2.tv_in1k --weights hub --modules layer2 layer3, on the images of
    ImageNet. Settings for a laptop: --width 32 --channels 48 --image-size 128 --encoder-size 256 --steps 1000.
    """

    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder with arbitrary images, also in subfolders; the default is the training images of the drawn textures."""
    out: Path = Path("teacher.pt")
    """File for the teacher's weights, in an existing folder."""
    encoder: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    weights: str = "package"
    """Weights of the encoder: `package` (shipped), `hub` (from timm, downloaded once), or a file."""
    modules: tuple[str, ...] = ("blocks.2", "blocks.4")
    """Encoder modules with combined feature maps, finest first; if empty, the encoder's own features (transformers)."""
    encoder_size: int = 512
    """Side of the encoder's input images, in pixels."""
    channels: int = 384
    """Number of channels to which the modules' feature maps are averaged; without modules, the encoder's own number."""
    width: int = 256
    """Number of channels of the teacher's first convolution."""
    image_size: int = 256
    """Side of the teacher's input images, in pixels."""
    steps: int = 60_000
    """Number of optimizer steps."""
    batch_size: int = 16
    """Number of images per step."""
    seed: int = 0
    """Seed of the initialisation, of the order of the images, and of the choice of grey images."""
    every: int = 500
    """Number of steps between two checkpoints."""
    cache: Path = Path("cache")
    """Cache folder for recomputable data: textures and checkpoints."""

    def run(self) -> int:
        """Distil the encoder into the teacher; return the exit code."""
        if self.out.is_dir() or not self.out.absolute().parent.is_dir():
            raise UsageError(f"--out must be a file in an existing folder, got {self.out}.")
        require_writable(self.out.absolute().parent, "--out")
        require_writable(self.cache, "--cache")
        files = images_below(self.folder) if self.folder else None
        from harness.features.teacher import (
            TeacherDistillation,
            run_distillation,
            texture_images,
            write_weights,
        )
        from harness.runtime.checkpoints import Checkpoints
        from harness.runtime.compute import InProcess

        teacher, checkpoints = (
            self._teacher(),
            Checkpoints(self.cache / "teachers", every=self.every),
        )
        seen = (
            tuple(str(file.absolute()) for file in files) if files else texture_images(self.cache)
        )
        with ProgressBars() as bars:
            compute = InProcess(report=bars, checkpoints=checkpoints)
            weights = compute.train(run_distillation, TeacherDistillation(teacher, seen))
        write_weights(weights, self.out)
        print(f"{self.out}: {bars.text}. Use it with --teacher {self.out}.")
        return 0

    def _teacher(self) -> Teacher:
        from harness.config.file_ref import file_ref
        from harness.features.encoder import Encoder
        from harness.features.patch_features import LocallyAware
        from harness.features.teacher import Teacher

        aware = LocallyAware(modules=self.modules, dimensions=self.channels)
        encoder = Encoder(
            name=self.encoder,
            weights=self.weights if self.weights in ("package", "hub") else file_ref(self.weights),
            image_size=self.encoder_size,
            memory=aware if self.modules else None,
        )
        return Teacher(
            encoder=encoder,
            width=self.width,
            image_size=self.image_size,
            steps=self.steps,
            batch_size=self.batch_size,
            seed=self.seed,
        )
