"""Rank images of a folder, most suspect first.   python -m harness rank folder"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from harness.errors import UsageError
from harness.runtime.environment import prepare_environment


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Rank the images of a folder, most suspect first, without labels; or make a folder without what was ticked."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with training images, in subfolders or not."""
    out: Path = Path("ranking")
    """Folder for ranking.csv and the page ranking.html."""
    apply: Path | None = None
    """A list saved from the page: link all other images into --cleaned instead of ranking."""
    cleaned: Path = Path("cleaned")
    """Folder for the cleaned images; it must not exist yet."""
    copy: bool = False
    """Copy the images instead of linking to them."""
    known: Path | None = None
    """CSV file whose column `image` lists images known to be contaminated: print how early the ranking finds them."""
    steps: int = 2000
    """Training steps, a quarter of them for distillation."""
    seed: int = 0
    """Seed of the training."""
    cache: Path = Path("cache")
    """Folder for what can be computed again."""

    def run(self) -> int:
        """Rank or apply; return the exit code."""
        from harness.images import read_image_list
        from harness.ranking import label_correction
        from harness.ranking import page as ranking_page

        if self.apply:
            removed = read_image_list(self.apply)
            left = label_correction.clean(self.folder, removed, self.cleaned, copy=self.copy)
            how = "Copied" if self.copy else "Linked"
            print(
                f"{how} {left} images into {self.cleaned}, without the {len(set(removed))} listed ones."
            )
            return 0
        if self.steps < 4:
            raise UsageError(f"--steps is a number from 4 on, got {self.steps}.")
        known = read_image_list(self.known) if self.known else []
        label_correction.check_listed(known, label_correction.find_images(self.folder), self.folder)
        prepare_environment()
        from harness.cluster.rank import rank_on_ray

        ranking = rank_on_ray(self.folder, steps=self.steps, seed=self.seed, cache=self.cache)
        quality = label_correction.quality(ranking, known) if known else None
        self.out.mkdir(parents=True, exist_ok=True)
        ranking.table().to_csv(self.out / "ranking.csv", index=False)
        (self.out / "ranking.html").write_text(ranking_page.render(ranking), encoding="utf-8")
        print(ranking.table().head(10).to_markdown(index=False, floatfmt=".4f"))
        if quality is not None:
            print(f"\n{quality.to_markdown(index=False, floatfmt='.3f')}")
        print(
            f"\nAll {len(ranking.images)}: {self.out}/ranking.html (tick, save the list) and ranking.csv. Then: "
            f".venv/bin/python -m harness rank {shlex.quote(str(self.folder))} --apply remove.csv"
        )
        return 0
