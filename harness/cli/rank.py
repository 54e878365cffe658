"""Command `rank`: rank the images of a folder, most suspicious first.   python -m harness rank folder"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.config.settings import check_seed
from harness.errors import UsageError, paragraph
from harness.runtime.environment import prepare_environment
from harness.runtime.places import require_new, require_writable


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Rank the images of a folder without labels, most suspicious first.

    With --remove, make a folder without the images that were ticked on the page.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with training images, also in subfolders."""
    out: Path = Path("ranking")
    """Output folder for ranking.csv and the page ranking.html."""
    remove: Annotated[Path | None, tyro.conf.arg(aliases=["--apply"])] = None
    """List of images saved from the page; instead of ranking, all other images are linked into --clean-folder.
    The old name of the option is --apply."""
    clean_folder: Annotated[Path, tyro.conf.arg(aliases=["--cleaned"])] = Path("cleaned")
    """Folder for the remaining images; it must not exist yet. The old name of the option is --cleaned."""
    copy: bool = False
    """Whether to copy the images instead of linking to them."""
    contaminated: Annotated[Path | None, tyro.conf.arg(aliases=["--known"])] = None
    """CSV file whose column `image` lists known contaminated images; prints how early the ranking finds them.
    The old name of the option is --known."""
    steps: int = 2000
    """Number of training steps, at least 4; a quarter of the steps is distillation."""
    seed: int = 0
    """Seed of the training."""
    cache: Path = Path("cache")
    """Cache folder for recomputable data."""

    def run(self) -> int:
        """Rank the images, or apply a saved list; return the exit code."""
        from harness.datasets.folder_findings import skipped_files
        from harness.images import read_image_list
        from harness.ranking.folder import check_listed, find_images
        from harness.ranking.removal import clean

        if self.remove:
            require_new(self.clean_folder, "--clean-folder")
            removed = read_image_list(self.remove)
            left = clean(self.folder, removed, self.clean_folder, copy=self.copy)
            how = "Copied" if self.copy else "Linked"
            print(
                f"{how} {left} images into {self.clean_folder}, without the {len(set(removed))} listed images."
            )
            return 0
        if self.steps < 4:
            raise UsageError(f"--steps must be at least 4, got {self.steps}.")
        check_seed(self.seed, "--seed")
        require_writable(self.out, "--out")
        require_writable(self.cache, "--cache")
        known = read_image_list(self.contaminated) if self.contaminated else []
        check_listed(known, find_images(self.folder), self.folder)
        for finding in skipped_files(self.folder):
            print(paragraph(f"warning: {finding.text}"), file=sys.stderr)
        prepare_environment()
        from harness.cluster.rank import rank_on_ray
        from harness.ranking.page import write
        from harness.ranking.ranking import quality

        ranking = rank_on_ray(self.folder, steps=self.steps, seed=self.seed, cache=self.cache)
        found = quality(ranking, known) if known else None
        self.out.mkdir(parents=True, exist_ok=True)
        ranking.table().to_csv(self.out / "ranking.csv", index=False)
        write(ranking, self.out)
        print(ranking.table().head(10).to_markdown(index=False, floatfmt=".4f"))
        if found is not None:
            print(f"\n{found.to_markdown(index=False, floatfmt='.3f')}")
        print(
            f"\nAll {len(ranking.images)} images are in {self.out}/ranking.html and {self.out}/ranking.csv. Tick the "
            "images to remove on the page and save the list. Then run: "
            f".venv/bin/python -m harness rank {shlex.quote(str(self.folder))} --remove remove.csv"
        )
        return 0
