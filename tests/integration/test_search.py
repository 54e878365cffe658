"""The search for settings: its rungs, what is run and found again, and a number that no label has a part in."""

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from harness.detectors import MemoryDetector
from harness.errors import UsageError
from harness.evaluation import Evaluation
from harness.evaluation.memory_agreement import METRIC, agreement
from harness.experiment import run_prepared
from harness.experiment.search import Grid, Search
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.metrics.names import ALL, IMAGE_AUROC, MEAN, MetricName
from harness.runtime.compute import InProcess
from harness.selection import robust_max
from sweeps import search
from sweeps.profiles.local import LAPTOP, MTD
from sweeps.profiles.paper import REAL_IAD
from tests.support.commands import command, refused
from tests.support.dataset import ENCODER, SMALL
from tests.support.search_course import play
from tests.support.studies import study_of


def ratio_decides(profile, labelled=()):
    """The course of a search in which a higher ratio is better on every rung."""
    return play(search.search(profile, labelled), lambda setting, rung: setting["rho"])


@pytest.mark.parametrize("profile", [LAPTOP, MTD], ids=lambda profile: profile.name)
def test_the_best_settings_climb_to_rungs_that_train_three_times_as_long(profile):
    tried = ratio_decides(profile)
    found = search.search(profile)
    assert len(tried) == search.SETTINGS
    climbed = [sum(len(each.values) > rung for each in tried) for rung in range(3)]
    assert climbed[0] > 2 * climbed[1] >= 2 * climbed[2] > 2
    for each in tried[1:]:  # the first climbs whatever it is worth
        above = sum(other.setting["rho"] > each.setting["rho"] for other in tried)
        assert len(each.values) == 1 or above < len(tried) / 2
    lengths = [found.experiments(found.start[0], rung)[0].detector for rung in range(3)]
    whole = profile.meds.finetuning.steps
    assert [each.finetuning.steps for each in lengths] == [
        round(whole / 9),
        round(whole / 3),
        whole,
    ]
    assert lengths[2] == profile.meds  # the profile's own is there to compare with
    assert len(tried[0].values) == 3


def test_settings_stay_within_what_is_searched():
    found = search.search(LAPTOP)
    cells = [found.experiments(each.setting, 0)[0] for each in ratio_decides(LAPTOP)]
    detectors = [cell.detector for cell in cells]
    assert len({cell.key for cell in cells}) == search.SETTINGS
    assert {d.memory.ratio for d in detectors} <= set(search.RATIOS)
    assert all(0 <= d.selection.critical_value <= 3 for d in detectors)
    rates = [d.distillation.learning_rate / 2e-3 for d in detectors]
    assert min(rates) < 0.5 < 2 < max(rates)
    first = search.experiments(LAPTOP)
    assert [e.key for e in first] == [cell.key for cell in cells[: search.BATCH]]
    assert {m for cell in cells for m in cell.memories} <= {
        m for each in found.shared for m in each.memories
    }


def test_labels_decide_on_declared_categories_and_the_last_rung_is_on_the_others():
    found = search.search(LAPTOP, ("brick",))
    on_rungs = [found.experiments(found.start[0], rung)[0].categories for rung in range(3)]
    assert on_rungs == [("brick",), ("brick",), ("grass", "gravel")]
    assert found.objective == ("all", "image_auroc")
    assert found.judged == 2
    with pytest.raises(UsageError, match="none is left to test"):
        search.search(MTD, ("magnetic_tile",))
    with pytest.raises(UsageError, match=r"'sand', but .* Its categories: brick, grass, gravel"):
        search.search(LAPTOP, ("sand",))


def test_categories_apart_count_together():
    cells = search.experiments(REAL_IAD)
    assert len(cells) == search.BATCH * 30
    assert REAL_IAD.cells(cells) == cells


def test_declared_labels_are_for_the_search_alone(tmp_path):
    assert "for the study search alone" in refused(
        tmp_path, "--labelled-categories", "brick", code=2
    )


def test_agreement_is_the_rank_correlation_and_one_with_itself(small):
    images = small.train_images
    memory, other = MemoryEnsemble(ratio=0.5), MemoryEnsemble(ratio=0.1)
    names = ["brick"] * 8 + ["grass"] * 8 + ["gravel"] * 8
    scores_NP = memory_scores(images, images, memory)
    own = agreement(scores_NP, images, names, [memory])
    assert own["value"].to_numpy() == pytest.approx(1)
    both = agreement(scores_NP, images, names, [memory, other]).set_index("category")["value"]
    theirs_N = robust_max(memory_scores(images, images, other))
    ours_N = robust_max(scores_NP)
    grass = spearmanr(ours_N[8:16], theirs_N[8:16]).statistic
    assert both["grass"] == pytest.approx((1 + grass) / 2)


def test_no_label_has_a_part_in_the_agreement(small):
    """Whoever is called normal among the training images, and whatever is in the test set, it is the same."""
    evaluation = Evaluation(size=64, agreement=(MemoryEnsemble(ratio=0.1),))
    experiment = small.experiment(MemoryDetector(), evaluation=evaluation)
    samples = small.prepared.samples
    flipped = samples.copy()
    tested = (samples["split"] == "test").to_numpy()
    flipped.loc[tested, "defect"] = np.where(samples["defect"][tested] == "good", "spot", "good")
    flipped.loc[tested & (flipped["defect"] == "spot").to_numpy(), "mask"] = (
        samples["mask"].dropna().iloc[0]
    )
    values = []
    for table in (samples, flipped):
        prepared = replace(small.prepared, samples=table)
        result = run_prepared(experiment, prepared, data=small.data, compute=InProcess())
        of_agreement = result.metrics["metric"] == METRIC
        values.append(result.metrics[of_agreement].set_index("category")["value"])
    assert len(values[0]) == 4
    assert values[0].equals(values[1])


@dataclass(frozen=True, kw_only=True)
class Fails(MemoryDetector):
    """Memories of which one cannot be fitted."""

    def fit(self, images, *, seed, compute):
        if self.memory.ratio == 1:
            raise ArithmeticError("this one cannot work")
        return super().fit(images, seed=seed, compute=compute)


def memories(small, setting, rung):
    """A memory on a rung: on higher rungs its masks are larger, so it is another experiment."""
    detector = Fails(memory=MemoryEnsemble(ratio=setting["rho"]))
    return [small.experiment(detector, evaluation=Evaluation(size=64 + rung))]


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_on_a_cluster_takes_the_course_of_its_results(small, ray_cluster, tmp_path):
    """Bad settings stop, a failure is recorded and ends its setting, and a second search finds all of it again."""
    from harness.cluster.search import run_search
    from harness.cluster.search_runner import SearchRunner

    ratios = (0.125, 0.25, 0.5, 1.0)
    found = Search(
        space={"rho": Grid(values=ratios)},
        start=tuple({"rho": ratio} for ratio in ratios),
        experiments=functools.partial(memories, small),
        objective=(ALL, IMAGE_AUROC),
        shared=(),
        settings=6,
    )
    base = study_of([], small, tmp_path, max_concurrent=2)
    shared = {(SMALL, ENCODER): small.prepared}
    runner = SearchRunner(search=found, base=base, shared=shared)
    registered: set[str] = set()
    summary = run_search(runner, registered.update)
    digest = small.prepared.data_digest
    metric = str(MetricName(ALL, IMAGE_AUROC, MEAN))

    def worth(setting, rung):
        (experiment,) = memories(small, setting, rung)
        values = base.tracker.finished_values(experiment.key, digest)
        return values and values[metric]

    course = play(found, worth)
    ran = {
        memories(small, each.setting, rung)[0].key
        for each in course
        for rung in range(len(each.values))
    }
    assert base.tracker.finished_keys(digest) == ran
    assert summary.finished == len(ran) < 3 * len(ratios)
    (failed,) = memories(small, {"rho": 1.0}, 0)
    assert [run.info.status for run in base.tracker.attempts(failed.key, digest)] == ["FAILED"]
    assert "this one cannot work" in summary.failures[0][1]
    assert registered == ran | {failed.key}
    again = run_search(runner, registered.update)
    assert (again.finished, again.finished_before) == (0, len(ran))


def test_a_search_refuses_options_that_change_its_course():
    refused = command("sweeps", "search", "--profile", "smoke", "--seed", "1")
    assert refused.returncode == 2
    assert "Leave out --method and --seed" in " ".join(refused.stderr.split())
