"""Command `rank`: rank the images of a folder, most suspicious first.   python -m harness rank folder"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from harness.config.hints import harness_command
from harness.config.settings import check_seed
from harness.errors import UsageError, paragraph
from harness.runtime.places import require_new, require_writable

if TYPE_CHECKING:
    from harness.ranking.examination import RankingSettings
    from harness.ranking.ranking import Ranking


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Rank the images of a folder without labels, most suspicious first.

    With --remove, make a folder without the images that were ticked on the page.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder with training images, also in subfolders."""
    out: Path = Path("ranking")
    """Output folder for ranking.csv, the page ranking.html and the folder ranking_images with its pictures."""
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
    method: Literal["memory", "meds"] = "memory"
    """Method of the ranking: the distances between the images, or MeDS, which is trained for minutes and, on the
    shipped encoder, ranks worse."""
    encoder: str | None = None
    """Encoder: the name of a timm model, or `shipped` for the encoder that needs no download."""
    weights: Path | None = None
    """File with the encoder's weights, instead of those of timm."""
    image_size: int | None = None
    """Side in pixels of the square to which images are resized, instead of the encoder's."""
    tiles: int = 1
    """Number of tiles along each side of an image; 4 shows defects that are a quarter as long. The time grows with its
    square."""
    together: bool = False
    """Whether to rank the images of all subfolders as one; otherwise each subfolder is ranked apart."""
    steps: int = 2000
    """Number of training steps of MeDS, at least 4; a quarter of the steps is distillation."""
    seed: int = 0
    """Seed of the training of MeDS."""
    cache: Path = Path("cache")
    """Cache folder for recomputable data."""

    def run(self) -> int:
        """Rank the images, or apply a saved list; return the exit code."""
        from harness.datasets.folder_findings import skipped_files
        from harness.images import read_image_list
        from harness.ranking.folder import check_listed, find_images

        if self.remove:
            return self._remove(self.remove)
        if self.steps < 4:
            raise UsageError(f"--steps must be at least 4, got {self.steps}.")
        check_seed(self.seed, "--seed")
        require_writable(self.out, "--out")
        require_writable(self.cache, "--cache")
        known = read_image_list(self.contaminated) if self.contaminated else []
        check_listed(known, find_images(self.folder), self.folder)
        for finding in skipped_files(self.folder):
            print(paragraph(f"warning: {finding.text}"), file=sys.stderr)
        from harness.ranking.page import write
        from harness.ranking.ranking import quality, rank
        from harness.runtime.compute import Threads
        from harness.runtime.progress_bars import ProgressBars

        settings = self._settings()
        with ProgressBars() as bars:
            ranking = rank(
                self.folder, settings=settings, cache=self.cache, compute=Threads(report=bars)
            )
        found = quality(ranking, known) if known else None
        self.out.mkdir(parents=True, exist_ok=True)
        ranking.table().to_csv(self.out / "ranking.csv", index=False)
        write(ranking, self.out)
        print(ranking.table().head(10).to_markdown(index=False, floatfmt=".2f"))
        if found is not None:
            print(f"\n{found.to_markdown(index=False, floatfmt='.3f')}")
        if self.method == "memory":
            print("\n" + "\n".join(_estimates(ranking)))
        print(
            f"\nAll {len(ranking.images)} images are in {self.out}/ranking.html and {self.out}/ranking.csv. Tick the "
            "images to remove on the page and save the list: the browser saves remove.csv in its folder for downloads. "
            "Move the list here, and run: "
            f"{harness_command(f'rank {shlex.quote(str(self.folder))} --remove remove.csv')}"
        )
        return 0

    def _remove(self, listed: Path) -> int:
        """Make a folder without the listed images."""
        from harness.images import read_image_list
        from harness.ranking.removal import clean

        require_new(self.clean_folder, "--clean-folder")
        removed = read_image_list(listed)
        left = clean(self.folder, removed, self.clean_folder, copy=self.copy)
        how = "Copied" if self.copy else "Linked"
        print(
            f"{how} {left} images into {self.clean_folder}, without the {len(set(removed))} listed images."
        )
        return 0

    def _settings(self) -> RankingSettings:
        from harness.detectors.encoders import with_options
        from harness.features.encoder import Encoder
        from harness.inference.methods import with_steps
        from harness.ranking.examination import RankingSettings

        detector = None
        if self.method == "meds":
            from harness.detectors.laptop import MEDS

            detector = with_steps(MEDS, self.steps)
        encoder = with_options(
            Encoder(), name=self.encoder, weights=self.weights, image_size=self.image_size
        )
        return RankingSettings(
            encoder=encoder,
            tiles=self.tiles,
            together=self.together,
            detector=detector,
            seed=self.seed,
        )


def _estimates(ranking: Ranking) -> Iterator[str]:
    """Yield a sentence on the contamination of every category, and one on what to do if nothing stands out."""
    from harness.ranking.estimate import LIKELY

    for name, estimate in ranking.estimates.items():
        yield paragraph(f"{name}: {estimate}" if name else str(estimate))
    if ranking.scores_N[0] < LIKELY:
        yield paragraph(
            "warning: no image stands out. The images may be clean, or their defects may be too small for the size at "
            "which images are encoded. If the photographs are large, try --tiles 4 or a larger --image-size."
        )
