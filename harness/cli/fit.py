"""Command `fit`: train a detector on a folder of images.   python -m harness fit folder --out detector"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.config.hints import harness_command
from harness.config.settings import check_seed
from harness.errors import UsageError, paragraph
from harness.progress import show_progress
from harness.runtime.places import require_new, require_writable

if TYPE_CHECKING:
    from harness.inference.methods import Method


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train a detector on a folder of images without labels, and write it as a folder that `predict` reads.

    All images of the folder count as one category. Without a named method, the detector is a memory.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with training images, also in subfolders."""
    out: Path = Path("detector")
    """Folder for the detector; it must not exist yet."""
    method: str | None = None
    """Name of the method: memory, adaptive_memory, plain, distilled, meds, meds_tuned, patchcore, softpatch, inreach,
    fun_ad, uniad, reverse_distillation, efficient_ad or ad2. Your own baseline is known by its class attribute
    `name`. The default is memory."""
    released: bool = False
    """Whether to use the settings and the encoder of the method's authors, which need a GPU and a download."""
    remove: Path | None = None
    """List of images to leave out, as the page of `rank` saves it."""
    encoder: str | None = None
    """Encoder instead of the method's: the name of a timm model, or `shipped` for the one that needs no download."""
    weights: Path | None = None
    """File with the encoder's weights, instead of those of timm."""
    image_size: int | None = None
    """Side in pixels of the square to which images are resized, instead of the encoder's."""
    steps: int | None = None
    """Number of training steps, instead of the method's."""
    teacher: Path | None = None
    """Weights file of the teacher of EfficientAD-M and AD2 (see `pretrain-teacher`)."""
    seed: int = 0
    """Seed of the training."""
    cache: Path = Path("cache")
    """Cache folder for recomputable data."""

    def run(self) -> int:
        """Train the detector and write it; return the exit code."""
        from harness.datasets.folder_findings import skipped_files
        from harness.images import ImageIndex, read_image_list
        from harness.images.folder import read_folder

        require_new(self.out, "--out")
        require_writable(self.cache, "--cache")
        check_seed(self.seed, "--seed")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"--steps must be at least 1, got {self.steps}.")
        removed = read_image_list(self.remove) if self.remove else []
        with show_progress("loading the method", 1) as bar:
            from harness.inference.card import card
            from harness.inference.fit import Origin, fit, training_names
            from harness.inference.saved import save

            method = self._method()
            bar.update()
        names = training_names(self.folder, removed)
        for finding in skipped_files(self.folder):
            print(paragraph(f"warning: {finding.text}"), file=sys.stderr)
        images = read_folder(self.folder, names, ImageIndex(self.cache / "images.json"))
        origin = Origin(folder=self.folder.absolute().name, removed=len(set(removed)))
        fitted = fit(images, method, origin=origin, seed=self.seed, cache=self.cache)
        save(fitted, self.out, card=card(fitted))
        first = fitted.thresholds[0]
        print(
            f"{self.out}: {fitted.detector.title}, fitted to {len(names)} images in {fitted.about['seconds']:.0f} s; "
            f"threshold {first.value:.4g} ({first.name}). {self.out}/README.md describes it. Score new images: "
            f"{harness_command(f'predict {self.out} IMAGES')}"
        )
        return 0

    def _method(self) -> Method:
        from harness.config.file_ref import file_ref
        from harness.detectors.encoders import with_options
        from harness.inference.methods import (
            DEFAULT,
            check_teacher,
            method_named,
            with_size,
            with_steps,
            with_student,
        )

        method = method_named(self.method or DEFAULT, released=self.released)
        chosen = with_options(
            method.encoder, name=self.encoder, weights=self.weights, image_size=None
        )
        method = replace(method, encoder=chosen)
        if self.image_size is not None:
            method = with_size(method, self.image_size)
        detector = method.detector
        if self.teacher is not None:
            detector = with_student(detector, teacher=file_ref(self.teacher))
        check_teacher(detector)
        if self.steps is not None:
            detector = with_steps(detector, self.steps)
        return replace(method, detector=detector)
