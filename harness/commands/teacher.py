"""Make a teacher for EfficientAD and AD2.   python -m harness pretrain-teacher folder/of/images"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tqdm import tqdm

from harness.datasets import images_below
from harness.datasets.textures import Textures
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.teachers import Distillation


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
        files = self._files()
        import torch

        from harness.checkpoints import Checkpoints
        from harness.compute import InProcess
        from harness.teachers import run_distillation

        with _Bars() as bars:
            checkpoints = Checkpoints(self.cache / "teachers", every=self.every)
            compute = InProcess(report=bars, checkpoints=checkpoints)
            weights = compute.train(run_distillation, self._job(files))
        draft = self.out.with_name(f"{self.out.name}.draft")
        torch.save({name: torch.from_numpy(value) for name, value in weights.items()}, draft)
        draft.replace(self.out)
        print(f"{self.out}: {bars.text}. Use it as EfficientAD(teacher={str(self.out)!r}).")
        return 0

    def _job(self, files: list[Path]) -> Distillation:
        from harness.encoders import Encoder
        from harness.patch_features import LocallyAware
        from harness.teachers import Distillation

        aware = LocallyAware(modules=self.modules, dimensions=self.channels)
        encoder = Encoder(
            name=self.encoder,
            weights=self.weights,
            image_size=self.encoder_size,
            memory=aware if self.modules else None,
        )
        return Distillation(
            encoder=encoder,
            files=tuple(str(file.absolute()) for file in files),
            width=self.width,
            image_size=self.image_size,
            steps=self.steps,
            batch_size=self.batch_size,
            seed=self.seed,
        )

    def _files(self) -> list[Path]:
        if self.folder:
            return images_below(self.folder)
        self.cache.mkdir(parents=True, exist_ok=True)
        root = self.cache / "textures-laptop"  # where the studies of that profile draw them
        samples = Textures().samples(root)
        return [root / image for image in samples.loc[samples["split"] == "train", "image"]]


class _Bars(AbstractContextManager["_Bars"]):
    """A bar for every part of the work; see `harness.compute.ProgressCallback`."""

    def __init__(self) -> None:
        self.text, self._phase = "already made", ""
        self._bar = tqdm(disable=True)

    def __call__(self, phase: str, step: int, steps: int, loss: float) -> None:
        if phase != self._phase:
            self._phase = phase
            self._bar.close()
            self._bar = tqdm(total=steps, desc=phase, initial=step - 1, leave=False, disable=None)
        if not math.isnan(loss):
            self.text = f"loss {loss:.4f} after {step} steps"
            self._bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
        self._bar.update(step - self._bar.n)

    def __exit__(self, *error: Any) -> None:
        self._bar.close()
