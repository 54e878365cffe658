"""Run a study, then draw its report.   python -m sweeps rho [--profile laptop] [--data ROOT]"""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import tyro

import sweeps
from harness.cluster.options import ClusterOptions
from harness.config.discovery import modules_of
from harness.errors import InputError, UsageError, exit_on_input_error
from harness.experiment import Experiment
from harness.runtime.environment import prepare_environment
from harness.tracking import Tracker
from harness.tracking.connection import default_uri
from sweeps.launch.choice import StudyFilter
from sweeps.launch.dry_run import dry_run
from sweeps.launch.rounds import rounds_of, run_rounds, values_of
from sweeps.profiles import PROFILES
from sweeps.profiles.contract import Profile

if TYPE_CHECKING:
    from harness.cluster.progress import Summary


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run every experiment of a study that is not finished yet, then draw its figure, table and page."""

    study: Annotated[str, tyro.conf.Positional]
    """Which study: the name of a file in sweeps/."""
    profile: str | None = None
    """What it runs on: laptop (drawn defects on photographs), smoke (the same, a minute), folder (images of yours), mtd
    (magnetic tiles), or mvtec_ad, visa, real_iad, loco as in the papers; by default the study's own, else laptop."""
    data: Path | None = None
    """Root folder of the dataset; the laptop profile makes its own."""
    choice: Annotated[StudyFilter, tyro.conf.arg(name="")] = field(default_factory=StudyFilter)
    objective: tuple[str, ...] = ()
    """For the study `search`: categories whose labels may be looked at; without any, no label decides."""
    dry_run: bool = False
    """Print the experiments, what they share and what it takes, and run nothing."""
    where: Annotated[ClusterOptions, tyro.conf.arg(name="")] = field(default_factory=ClusterOptions)


def main(options: Options) -> int:
    """Run the study; return the exit code."""
    study, profile = _study_and_profile(options)
    where = options.where
    rounds = rounds_of(study, profile, options.objective)
    first = options.choice.pick(next(rounds))
    data = options.data or where.cached / f"{profile.dataset.name}-{profile.name}"
    prepare_environment(where.address)
    if options.dry_run:
        dry_run(options.study, profile.name, first, data=data, where=where)
        if hasattr(study, "rounds"):
            print(
                "That is the first round; those after it go on from what it finds, fewer and longer."
            )
        return 0
    try:
        with ExitStack() as lasting:
            summary = run_rounds(
                first,
                rounds,
                run=functools.partial(_run, options, profile.name, data, lasting),
                pick=options.choice.pick,
                found=lambda: _found(options, study, profile.name),
            )
    except KeyboardInterrupt:
        print(
            "\nStopped. What is finished is kept; the same command goes on from here.",
            file=sys.stderr,
        )
        return 130
    for name, reason in summary.failures:
        print(f"failed: {name} ({reason})", file=sys.stderr)
    if summary.finished_before + summary.finished == 0 and not summary.failures:
        return 1
    command = [sys.executable, "-m", "reports", options.study, "--profile", profile.name]
    report = subprocess.run([*command, "--runs", str(where.results)], check=False)
    return report.returncode or int(bool(summary.failures))


def _run(
    options: Options,
    profile: str,
    data: Path,
    lasting: ExitStack,
    experiments: list[Experiment],
) -> Summary:
    from harness.cluster.study import run_study

    where = options.where
    return run_study(
        options.study,
        profile,
        experiments,
        data=data,
        cache=where.cached,
        runs=where.results,
        storage=where.url,
        address=where.address,
        sharing=where.sharing,
        scope=options.choice.scope,
        lasting=lasting,
    )


def _found(options: Options, study: ModuleType, profile: str) -> dict[str, float]:
    """What decides about the next round."""
    if not hasattr(study, "objective"):
        return {}
    tracker = Tracker(default_uri(options.where.results), options.study)
    return values_of(tracker, profile, *study.objective(options.objective))


def _study_and_profile(options: Options) -> tuple[ModuleType, Profile]:
    """What was asked for, the profile narrowed to the values that were.

    Raises:
        InputError: there is no such study or profile, no part of it can be chosen, or the profile needs data.
    """
    studies = modules_of(sweeps)
    if options.study not in studies:
        raise UsageError(f"There is no study {options.study!r}. Studies: {', '.join(studies)}.")
    study = importlib.import_module(f"sweeps.{options.study}")
    if hasattr(study, "rounds") and (options.choice.method or options.choice.seed):
        raise UsageError(
            f"The study {options.study} decides by what its rounds found of MeDS with its own seed: leave out --method "
            "and --seed."
        )
    name = options.profile or getattr(study, "PROFILE", "laptop")
    if name not in PROFILES:
        raise UsageError(f"There is no profile {name!r}. Profiles: {', '.join(PROFILES)}.")
    profile = options.choice.narrow(PROFILES[name])
    if options.data is None and not profile.generated:
        raise InputError(
            f"Profile {profile.name} needs the folder of the dataset {profile.dataset.name}. Give it: "
            f"make sweep-{options.study} PROFILE={profile.name} DATA=folder, or --data folder."
        )
    return study, profile


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
