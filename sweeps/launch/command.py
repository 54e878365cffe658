"""Implementation of `python -m sweeps`: run the rounds of a study, then draw the report."""

from __future__ import annotations

import functools
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from harness.config.discovery import STUDY_FILE, study_name
from harness.config.hints import study_command
from harness.errors import InputError, UsageError
from harness.experiment import Experiment
from harness.runtime.environment import prepare_environment
from harness.runtime.places import require_writable
from harness.runtime.stopping import exit_code
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from sweeps.launch.dry_run import dry_run
from sweeps.launch.options import Options
from sweeps.launch.rounds import rounds_of, run_rounds, values_of
from sweeps.launch.studies import load_study
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
    rounds = rounds_of(study, profile, options.labelled_categories)
    first = options.study_filter.select(next(rounds))
    data = options.data or where.cache_dir / f"{first[0].dataset.name}-{profile.name}"
    require_writable(where.runs_dir, "--runs")
    require_writable(where.cache_dir, "--cache")
    prepare_environment(where.address)
    if options.dry_run:
        dry_run(
            study_name(options.study),
            options.described(profile.name),
            first,
            data=data,
            where=where,
        )
        if hasattr(study, "rounds"):
            print(
                "This is the first round. Later rounds have fewer and longer experiments, chosen by its results."
            )
        return 0
    try:
        with ExitStack() as exit_stack:
            summary = run_rounds(
                first,
                rounds,
                run=functools.partial(_run, options, study, profile.name, data, exit_stack),
                select=options.study_filter.select,
                found=lambda: _found(options, study, profile.name),
            )
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
    exit_stack: ExitStack,
    experiments: list[Experiment],
) -> Summary:
    # Not imported at the top, because importing Ray reads environment variables that `prepare_environment` sets.
    from harness.cluster.by_value import send_by_value
    from harness.cluster.study import run_study

    if options.study.endswith(STUDY_FILE):
        send_by_value(study)  # workers cannot import the file
    return run_study(
        study_name(options.study),
        profile,
        experiments,
        data=data,
        where=options.where,
        scope=options.scope,
        exit_stack=exit_stack,
    )


def _found(options: Options, study: ModuleType, profile: str) -> dict[str, float]:
    """Return the results by key that decide about the next round."""
    if not hasattr(study, "objective"):
        return {}
    tracker = Tracker(default_uri(options.where.runs_dir), study_name(options.study))
    return values_of(tracker, profile, *study.objective(options.labelled_categories))


def _study_and_profile(options: Options) -> tuple[ModuleType, Profile]:
    """Return the selected study, and its profile narrowed to the selected values.

    Raises:
        InputError: the profile does not exist or needs data, or the study does not support the selection.
    """
    study = load_study(options.study)
    if hasattr(study, "rounds") and (options.study_filter.method or options.study_filter.seed):
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
