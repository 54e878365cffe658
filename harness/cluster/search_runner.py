"""Experiments of a search as trials run them: from a setting and a rung to a tracked experiment and its objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.cluster.search_member import Member
from harness.cluster.trial_runner import TrialRunner
from harness.datasets import Dataset
from harness.experiment import Experiment
from harness.experiment.preparation import Prepared
from harness.experiment.search import Search
from harness.features.encoder import Encoder
from harness.metrics.names import ALL, IMAGE_AUROC, MEAN, MetricName


@dataclass(frozen=True, kw_only=True)
class SearchRunner:
    """Everything that the trials of a search share; Ray's object store holds one copy."""

    search: Search
    base: TrialRunner
    """Trial runner of the study, without experiments."""
    shared: Mapping[tuple[Dataset, Encoder], Prepared]
    """Prepared datasets, by dataset and encoder as its images are stored."""

    def run_and_log(self, member: Member, progress: Any, lost: Sequence[str]) -> dict[str, Any]:
        """Run an experiment unless it is finished, and log it; return its outcome.

        Args:
            member: Experiment to run.
            progress: Handle of the `SearchActor`.
            lost: How each earlier process of the experiment was lost.
        """
        experiment = self._experiment(member)
        values = self._values(experiment)
        was_finished = values is not None
        if values is None:
            self._runner(member, experiment).run_and_log(experiment.key, progress, lost)
            values = self._values(experiment)
            assert values is not None
        return {
            **self._about(member, experiment),
            "failure": "",
            "was_finished": was_finished,
            "objective": values[str(MetricName(*self.search.objective, MEAN))],
            IMAGE_AUROC: values[str(MetricName(ALL, IMAGE_AUROC, MEAN))],
            "seconds": values["seconds"],
        }

    def record_failure(self, member: Member, reason: str, lost: Sequence[str]) -> dict[str, Any]:
        """Record why an experiment failed, and return its outcome."""
        experiment = self._experiment(member)
        outcome = self._runner(member, experiment).record_failure(experiment.key, reason, lost)
        if not outcome["failure"]:
            return self.run_and_log(member, None, lost)  # another study has finished it since
        return {**self._about(member, experiment), **outcome}

    def name(self, member: Member) -> str:
        """Return the display name of an experiment."""
        rung = f"rung {member.rung + 1} of {self.search.rungs}"
        return f"setting {member.number + 1}, {rung}: {self._experiment(member).name}"

    def _experiment(self, member: Member) -> Experiment:
        return self.search.experiments(member.setting, member.rung)[member.index]

    def _about(self, member: Member, experiment: Experiment) -> dict[str, str]:
        return {"key": experiment.key, "name": self.name(member)}

    def _values(self, experiment: Experiment) -> dict[str, float] | None:
        digest = self.shared[experiment.dataset, experiment.stored].data_digest
        return self.base.tracker.finished_values(experiment.key, digest)

    def _runner(self, member: Member, experiment: Experiment) -> TrialRunner:
        key = experiment.key
        return replace(
            self.base,
            experiments={key: experiment},
            names={key: self.name(member)},
            prepared={key: self.shared[experiment.dataset, experiment.stored]},
        )
