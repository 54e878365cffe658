"""Run a study, then draw its report.   python -m sweeps rho [--profile laptop] [--data ROOT]"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

import sweeps
from harness.environment import prepare_environment
from harness.errors import InputError, UsageError, exit_on_input_error
from sweeps.choice import Choice
from sweeps.dry_run import dry_run
from sweeps.profiles import PROFILES

SUPPORT = ("__main__", "choice", "dry_run", "profiles")
"""Files of this folder that are not studies."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run every experiment of a study that is not finished yet, then draw its figure, table and page."""

    study: Annotated[str, tyro.conf.Positional]
    """Which study: the name of a file in sweeps/."""
    profile: str = "laptop"
    """What it runs on: laptop (drawn defects on photographs), smoke (the same, a minute), mtd (magnetic tiles)."""
    data: Path | None = None
    """Root folder of the dataset; the laptop profile makes its own."""
    choice: Annotated[Choice, tyro.conf.arg(name="")] = field(default_factory=Choice)
    dry_run: bool = False
    """Print the experiments, what they share and what it takes, and run nothing."""
    address: str | None = None
    """Address of a Ray cluster; by default RAY_ADDRESS, else this machine alone."""
    workers: int = 0
    """Processes that share the training of a network (DDP); with 0 each experiment trains in its own process."""
    retries: int = 3
    """How often these are started again, from their last checkpoint, after one died."""
    runs: Path = Path("runs")
    """Folder for results."""
    cache: Path = Path("cache")
    """Folder for what can be computed again: drawn images, features, distances."""


def main(options: Options) -> int:
    """Run the study; return the exit code."""
    studies = [m.name for m in pkgutil.iter_modules(sweeps.__path__) if m.name not in SUPPORT]
    if options.study not in studies:
        raise UsageError(f"There is no study {options.study!r}. Studies: {', '.join(studies)}.")
    if options.profile not in PROFILES:
        raise UsageError(
            f"There is no profile {options.profile!r}. Profiles: {', '.join(PROFILES)}."
        )
    if min(options.workers, options.retries) < 0:
        raise UsageError("--workers and --retries are numbers from 0 on.")
    profile = options.choice.narrow(PROFILES[options.profile])
    if options.data is None and not profile.self_made:
        raise InputError(
            f"Profile {profile.name} needs the folder of the dataset {profile.dataset.name}. Give it: "
            f"make sweep-{options.study} PROFILE={profile.name} DATA=folder, or --data folder."
        )
    study = importlib.import_module(f"sweeps.{options.study}")
    experiments = options.choice.pick(study.experiments(profile))
    data = options.data or options.cache / f"{profile.dataset.name}-{profile.name}"
    prepare_environment(options.address)
    if options.dry_run:
        places = {"data": data, "cache": options.cache, "runs": options.runs}
        dry_run(options.study, profile.name, experiments, **places)
        return 0
    from harness.cluster.study import run_study  # imports Ray, which reads the environment then

    try:
        summary = run_study(
            options.study,
            profile.name,
            experiments,
            data=data,
            cache=options.cache,
            runs=options.runs,
            address=options.address,
            workers=options.workers,
            retries=options.retries,
        )
    except KeyboardInterrupt:
        print(
            "\nStopped. What is finished is kept; the same command goes on from here.",
            file=sys.stderr,
        )
        return 130
    for name, reason in summary.failures:
        print(f"failed: {name} ({reason})", file=sys.stderr)
    if summary.finished_before + summary.finished == 0:
        return 1
    command = [sys.executable, "-m", "reports", options.study, "--profile", profile.name]
    report = subprocess.run([*command, "--runs", str(options.runs)], check=False)
    return report.returncode or int(bool(summary.failures))


if __name__ == "__main__":
    with exit_on_input_error():
        sys.exit(main(tyro.cli(Options)))
