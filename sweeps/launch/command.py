"""Implementation of `python -m sweeps`: run the rounds of a study, then draw the report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.config.discovery import STUDY_FILE, study_name
from harness.config.hints import study_command
from harness.errors import InputError, UsageError
from harness.experiment import Experiment
from harness.experiment.search import Search
from harness.runtime.environment import prepare_environment
from harness.runtime.places import require_writable
from harness.runtime.stopping import exit_code
from sweeps.launch.dry_run import dry_run
from sweeps.launch.options import Options
from sweeps.launch.studies import experiments_of, load_study, search_of
from sweeps.profiles import PROFILES
from sweeps.profiles.contract import Profile

if TYPE_CHECKING:
    from harness.cluster.progress import Summary


def run_command(options: Options) -> int:
    """Run the selected study, then draw its report; return the exit code.

    Raises:
        InputError: no part of the study can be selected, or a profile, the data or a setting cannot be used.
    """
    study, profile = _study_and_profile(options)
    where = options.where
    search = search_of(study, profile, options.labelled_categories)
    found = search.known if search else experiments_of(study, profile)
    experiments = options.study_filter.select(found)
    if search:
        search = search.limited(options.study_filter.limit)
    data = options.data or where.cache_dir / f"{experiments[0].dataset.name}-{profile.name}"
    require_writable(where.runs_dir, "--runs")
    require_writable(where.cache_dir, "--cache")
    prepare_environment(where.address)
    if options.dry_run:
        described = options.described(profile.name)
        dry_run(study_name(options.study), described, experiments, data=data, where=where)
        if search:
            print(_outlook(search))
        return 0
    try:
        summary = _run(options, study, profile.name, data, search or experiments)
    except KeyboardInterrupt as stop:
        print(
            "\nStopped. Finished experiments are kept; the same command continues from here.",
            file=sys.stderr,
        )
        return exit_code(stop)
    for name, reason in summary.failures:
        print(f"failed: {name} ({reason})", file=sys.stderr)
    if summary.finished_before + summary.finished == 0 and not summary.failures:
        return 1
    command = [sys.executable, "-m", "reports", options.study, "--profile", profile.name]
    report = subprocess.run([*command, "--runs", str(where.runs_dir)], check=False)
    return report.returncode or int(bool(summary.failures))


def _run(
    options: Options,
    study: ModuleType,
    profile: str,
    data: Path,
    selected: Search | list[Experiment],
) -> Summary:
    # Not imported at the top, because importing Ray reads environment variables that `prepare_environment` sets.
    from harness.cluster.by_value import send_by_value
    from harness.cluster.study import run_search_study, run_study

    if options.study.endswith(STUDY_FILE):
        send_by_value(study)  # workers cannot import the file
    name, where, scope = study_name(options.study), options.where, options.scope
    if isinstance(selected, Search):
        return run_search_study(name, profile, selected, data=data, where=where, scope=scope)
    return run_study(name, profile, selected, data=data, where=where, scope=scope)


def _outlook(search: Search) -> str:
    """Return how a search continues after the experiments that no result chooses."""
    return (
        f"These are the first rung of the first {len(search.start)} settings. The search tries {search.settings} "
        f"settings on {search.rungs} rungs. About one of {search.factor} goes on to the next rung, whose experiments "
        f"take {search.factor} times as long. The whole search takes about as long as {search.cost} experiments of "
        "the first rung."
    )


def _study_and_profile(options: Options) -> tuple[ModuleType, Profile]:
    """Return the selected study, and its profile narrowed to the selected values.

    Raises:
        InputError: the profile does not exist or needs data, or the study does not support the selection.
    """
    study = load_study(options.study)
    if hasattr(study, "search") and (options.study_filter.method or options.study_filter.seed):
        raise UsageError(
            f"The study {options.study} chooses experiments by the results of MeDS with its own seed. Leave out "
            "--method and --seed."
        )
    name = options.profile or getattr(study, "PROFILE", "laptop")
    if name not in PROFILES:
        raise UsageError(f"There is no profile {name!r}. Profiles: {', '.join(PROFILES)}.")
    profile = options.study_filter.restrict(options.profile_options.apply(PROFILES[name]))
    if options.data is None and not profile.generated:
        raise InputError(
            f"Profile {profile.name} needs the folder of the dataset {profile.dataset.name}. Give it: "
            f"{study_command(options.study, profile.name, data='folder')}"
        )
    return study, profile
