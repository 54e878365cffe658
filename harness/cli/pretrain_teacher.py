"""Make a teacher for EfficientAD and AD2.   python -m harness pretrain-teacher folder/of/images"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.datasets import images_below
from harness.errors import UsageError
from harness.runtime.progress_bars import ProgressBars

if TYPE_CHECKING:
    from harness.features.teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class PretrainTeacher:
    """Distil a timm encoder into a small network, EfficientAD's teacher; stopped, the same command goes on.

    As published: --encoder wide_resnet101_2.tv_in1k --weights hub --modules layer2 layer3, on ImageNet's images. For a
    laptop: --width 32 --channels 48 --image-size 128 --encoder-size 256 --steps 1000.
    """

    folder: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder with images of anything, in subfolders or not; by default the training images of the drawn textures."""
    out: Path = Path("teacher.pt")
    """File for the weights."""
    encoder: str = "tf_efficientnet_lite0"
    """Name of a timm model."""
    weights: str = "package"
    """Its weights: `package` (shipped), `hub` (timm's, downloaded once), or a file."""
    modules: tuple[str, ...] = ("blocks.2", "blocks.4")
    """Its modules whose maps are put together, finest first; none for the encoder's own features (transformers)."""
    encoder_size: int = 512
    """Side, in pixels, of the images that the encoder sees."""
    channels: int = 384
    """Channels that the modules' maps are averaged to; without modules they are the encoder's own."""
    width: int = 256
    """Channels of the teacher's first convolution."""
    image_size: int = 256
    """Side, in pixels, of the images that the teacher sees."""
    steps: int = 60_000
    """Optimizer steps."""
    batch_size: int = 16
    """Images per step."""
    seed: int = 0
    """Of initialisation, order and colours."""
    every: int = 500
    """Steps between two checkpoints."""
    cache: Path = Path("cache")
    """Folder for what can be computed again."""

    def run(self) -> int:
        """Distil; return the exit code."""
        if self.out.is_dir() or not self.out.absolute().parent.is_dir():
            raise UsageError(f"--out is a file in a folder that there is, got {self.out}.")
        files = images_below(self.folder) if self.folder else None
        from harness.features.teacher import (
            Distillation,
            run_distillation,
            texture_images,
            write_weights,
        )
        from harness.runtime.checkpoints import Checkpoints
        from harness.runtime.compute import InProcess

        seen = (
            tuple(str(file.absolute()) for file in files) if files else texture_images(self.cache)
        )
        with ProgressBars() as bars:
            checkpoints = Checkpoints(self.cache / "teachers", every=self.every)
            compute = InProcess(report=bars, checkpoints=checkpoints)
            weights = compute.train(run_distillation, Distillation(self._teacher(), seen))
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
