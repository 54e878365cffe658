"""Studies by name, or by the path of a file: modules of `sweeps`, modules of plug-ins, and files of the user."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import sweeps
from harness.config.discovery import (
    STUDY_FILE,
    module_in,
    module_named,
    module_names,
    study_name,
)
from harness.errors import InputError, UsageError

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.experiment.search import Search
    from sweeps.profiles.contract import Profile


def check_study(study: str) -> None:
    """Check that a study exists, without importing it.

    Raises:
        UsageError: there is no such study or file, or the file has the name of another study.
    """
    names = module_names("studies", sweeps)
    if study.endswith(STUDY_FILE):
        if study_name(study) in names:
            raise UsageError(
                f"The file {study} has the name of another study, and results are stored by name. Rename the file. "
                f"Studies: {', '.join(names)}."
            )
        if not Path(study).is_file():
            raise UsageError(f"There is no file {study}. Give the path of a study's file.")
    elif study not in names:
        raise UsageError(
            f"There is no study {study!r}. Studies: {', '.join(names)}, or the path of a file such as ./my_study.py."
        )


def load_study(study: str) -> ModuleType:
    """Import a study that `check_study` accepts.

    Raises:
        InputError: the module of a plug-in or a file of the user cannot be imported, or defines no study.
    """
    is_file = study.endswith(STUDY_FILE)
    module = module_in(Path(study)) if is_file else module_named("studies", sweeps, study)
    if not (hasattr(module, "experiments") or hasattr(module, "search")):
        raise InputError(
            f"{module.__file__} defines no study: it has neither a function experiments(profile) nor search(profile, "
            "labelled). Add experiments(profile), which returns a list of harness.experiment.Experiment."
        )
    return module


def search_of(study: ModuleType, profile: Profile, labelled: tuple[str, ...]) -> Search | None:
    """Return the search of a study that chooses experiments by earlier results; None for any other study.

    Raises:
        InputError: the search cannot run on this profile, or labels were declared for a study that uses none.
    """
    if hasattr(study, "search"):
        found: Search = study.search(profile, labelled)
        return found
    if labelled:
        raise UsageError(
            "--labelled-categories is for the study search alone, because no other study uses its results to choose "
            "experiments. Leave --labelled-categories out."
        )
    return None


def experiments_of(study: ModuleType, profile: Profile) -> list[Experiment]:
    """Return the experiments of a study; of a search those that no result chooses.

    Raises:
        InputError: the study cannot run on this profile.
    """
    if found := search_of(study, profile, ()):
        return found.known
    return profile.cells(study.experiments(profile))
