"""Command `doctor`: check machine, storage and cluster before a study.   python -m harness doctor"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from harness.cli import machine as doctor
from harness.cluster.options import ClusterOptions
from harness.datasets.discovery import dataset_named
from harness.datasets.validation import validate_or_raise
from harness.errors import InputError, paragraph
from harness.images import ImageIndex
from harness.runtime.environment import prepare_environment


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look for faults that would prevent a study, and print how to fix each fault.

    The exit code is 1 if there is a fault.
    """

    dataset: str | None = None
    """Name of a dataset to check as well, e.g. mvtec_ad (see `check`)."""
    data: Path | None = None
    """Root folder of the dataset."""
    where: Annotated[ClusterOptions, tyro.conf.arg(name="")] = field(default_factory=ClusterOptions)

    def run(self) -> int:
        """Run all checks and print their results; return the exit code."""
        if self.dataset:
            dataset_named(self.dataset)  # refuse an unknown name before the long checks
        prepare_environment(self.where.address)
        with ExitStack() as exit_stack:
            answers = doctor.examine(self._checks(exit_stack))
        for answer in answers:
            mark = "ok   " if answer.sound else "FAULT"
            print(
                textwrap.indent(paragraph(answer.text), " " * 16).replace(
                    " " * 16, f"{mark} {answer.what:<10}", 1
                )
            )
        faults = sum(not answer.sound for answer in answers)
        print(f"{faults} faults." if faults else "No faults found.")
        return int(bool(faults))

    def _checks(self, exit_stack: ExitStack) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "python", doctor.python
        yield "encoder", doctor.encoder
        yield "gpu", doctor.gpu
        yield "disk", lambda: doctor.disk(self._folders)
        if url := self.where.remote_url:
            yield "storage", lambda: doctor.storage(url)
        yield "limits", doctor.limits
        yield "tracking", self._tracking
        yield "ray", lambda: self._ray(exit_stack)
        yield from self._cluster()
        if self.dataset or self.data:
            yield "data", self._data

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self.where.cache_dir, self.where.runs_dir

    def _tracking(self) -> str:
        from harness.tracking import Tracker
        from harness.tracking.connection import check_artifact_store, default_uri

        tracker = Tracker(default_uri(self.where.runs_dir), "doctor")
        answer = tracker.reach()
        if self.where.remote_url and tracker.file:  # a tracking server stores artifacts itself
            check_artifact_store(f"{self.where.remote_url}/artifacts")
        return answer

    def _ray(self, exit_stack: ExitStack) -> str:
        from harness.cluster.health import check_tasks
        from harness.cluster.session import session

        exit_stack.enter_context(session(self.where.address))
        return check_tasks(self.where.address)

    def _cluster(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the checks of a cluster; they need a Ray session."""
        from harness.cluster import health
        from harness.cluster.session import connected

        if connected():
            yield "dashboard", health.dashboard_answers
            yield "capacity", lambda: health.check_capacity(self.where.sharing)
            yield "folders", lambda: health.check_shared_folders(self._folders)

    def _data(self) -> str:
        dataset = dataset_named(self.dataset)
        if self.data is None:
            raise InputError(
                f"--data is missing. Give the folder of {dataset.name} with --data. {dataset.source}"
            )
        samples = validate_or_raise(
            dataset, self.data, ImageIndex(self.where.cache_dir / "images.json")
        ).samples
        return f"{dataset.name}: {len(samples)} images, {samples['category'].nunique()} categories"
