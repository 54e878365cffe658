"""Options of `python -m sweeps`. Importing this module loads neither torch, MLflow nor Ray."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from harness.cluster.options import ClusterOptions
from sweeps.launch.profile_options import ProfileOptions
from sweeps.launch.study_filter import StudyFilter

if TYPE_CHECKING:
    from harness.tracking.study_members import StudyScope


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run every experiment of a study that is not finished yet, then draw its figure, table and page."""

    study: Annotated[str, tyro.conf.Positional]
    """Name of the study, which is a file in sweeps/ or in a plug-in; or the path of a file, such as ./my_study.py."""
    profile: str | None = None
    """Profile with dataset, encoder and training lengths; by default the study's own, else laptop. Our own profiles:
    laptop (drawn defects on photographs), smoke (the same in a minute), folder (your images), mtd (magnetic tiles).
    Profiles of the papers: mvtec_ad, visa, real_iad, loco. --dataset, --encoder and --steps exchange parts of it."""
    data: Path | None = None
    """Root folder of the dataset; the images of the dataset textures are drawn."""
    profile_options: Annotated[ProfileOptions, tyro.conf.arg(name="")] = field(
        default_factory=ProfileOptions
    )
    study_filter: Annotated[StudyFilter, tyro.conf.arg(name="")] = field(
        default_factory=StudyFilter
    )
    labelled_categories: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--objective"])] = ()
    """Categories whose labels the study `search` may use; without categories, it uses no labels. The old name of the
    option is --objective."""
    dry_run: bool = False
    """Whether to print the experiments and an estimate of time and disk space, without running anything."""
    where: Annotated[ClusterOptions, tyro.conf.arg(name="")] = field(default_factory=ClusterOptions)

    @property
    def scope(self) -> StudyScope:
        """Relation of the command to the study; exchanged parts of the profile make a variant.

        Methods that a command adds stay in the study, as if the command ran a part of it.

        Raises:
            InputError: a file does not exist.
        """
        scope = self.study_filter.scope
        words = (self.profile_options.variant, scope.variant)
        whole = scope.whole and not self.profile_options.add_method
        return replace(scope, whole=whole, variant=", ".join(filter(None, words)))

    def described(self, profile: str) -> str:
        """Return the name of the profile with its exchanged parts."""
        return ", ".join(filter(None, (profile, self.profile_options.variant)))
