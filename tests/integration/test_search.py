"""The search for settings: rounds that follow from what was found, and a number that no label has a part in."""

from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient
from scipy.stats import spearmanr

from harness.detectors import MemoryDetector
from harness.errors import UsageError
from harness.evaluation import Evaluation
from harness.evaluation.memory_agreement import METRIC, agreement
from harness.experiment import run_prepared
from harness.memory import MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.runtime.compute import InProcess
from harness.selection import robust_max
from sweeps import search
from sweeps.profiles.local import LAPTOP, MTD, SMOKE
from sweeps.profiles.paper import REAL_IAD
from tests.support.commands import command, refused


def played(profile, worth, labelled=()):
    """The rounds of a search in which an experiment finds what `worth` says of it."""
    rounds, played = search.rounds(profile, labelled), []
    found = None
    while True:
        try:
            played.append(rounds.send(found))
        except StopIteration:
            return played
        found = {e.key: worth(e) for e in played[-1] if worth(e) is not None}


@pytest.mark.parametrize("profile", [LAPTOP, MTD], ids=lambda profile: profile.name)
def test_a_third_of_a_round_goes_on_and_trains_three_times_as_long(profile):
    first, second, last = played(profile, lambda e: e.detector.memory.ratio)
    assert [len(cells) for cells in (first, second)] == [18, 6]
    assert len({e.key for cells in (first, second, last) for e in cells}) == 18 + 6 + len(last)
    for shorter, longer in ((first, second), (second, last)):
        best = sorted((e.detector.memory.ratio for e in shorter), reverse=True)
        kept = sorted((e.detector.memory.ratio for e in longer), reverse=True)
        assert kept[: len(shorter) // 3] == best[: len(shorter) // 3]
    steps = {cells[0].detector.finetuning.steps for cells in (first, second, last)}
    whole = profile.meds.finetuning.steps
    assert steps == {round(whole / 9), round(whole / 3), whole}
    assert profile.meds in [e.detector for e in last]  # the profile's own is there to compare with


def test_what_failed_goes_no_further():
    first, second, _ = played(
        LAPTOP, lambda e: None if e.detector.memory.ratio > 0.1 else e.detector.memory.ratio
    )
    assert any(e.detector.memory.ratio > 0.1 for e in first)
    assert all(e.detector.memory.ratio <= 0.1 for e in second)


def test_settings_stay_within_what_is_searched():
    first = search.experiments(LAPTOP)
    detectors = [e.detector for e in first]
    assert all(0.02 <= d.memory.ratio <= 0.5 for d in detectors)
    assert all(0 <= d.selection.critical_value <= 3 for d in detectors)
    rates = [d.distillation.learning_rate / 2e-3 for d in detectors]
    assert min(rates) < 0.5 < 2 < max(rates)
    assert [e.key for e in first] == [e.key for e in search.experiments(LAPTOP)]


def test_labels_decide_on_declared_categories_and_the_last_round_is_on_the_others():
    first, second, last = played(LAPTOP, lambda e: 0.5, ("brick",))
    assert {e.categories for e in (*first, *second)} == {("brick",)}
    assert {e.categories for e in last} == {("grass", "gravel")}
    assert search.objective(("brick",)) == ("all", "image_auroc")
    with pytest.raises(UsageError, match="none is left to test"):
        next(search.rounds(MTD, ("magnetic_tile",)))
    with pytest.raises(UsageError, match=r"'sand', but .* Its categories: brick, grass, gravel"):
        next(search.rounds(LAPTOP, ("sand",)))


def test_categories_apart_count_together():
    cells = search.experiments(REAL_IAD)
    assert len(cells) == 18 * 30
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
        values.append(result.metrics.query("metric == @METRIC").set_index("category")["value"])
    assert len(values[0]) == 4
    assert values[0].equals(values[1])


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_runs_its_rounds_and_finds_them_again(tmp_path):
    """Two settings, then one, then it at full length beside the profile's own; again, and nothing is run."""
    refused = command("sweeps", "search", "--profile", "smoke", "--seed", "1")
    assert refused.returncode == 2
    assert "Leave out --method and --seed" in " ".join(refused.stderr.split())
    # One at a time: each process that starts imports torch.
    arguments = ["search", "--profile", "smoke", "--limit", "2", "--max-concurrent", "1"]
    arguments += ["--storage", str(tmp_path)]
    answer = command("sweeps", *arguments)
    assert answer.returncode == 0, answer.stderr
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/runs/mlflow.db")
    study = client.get_experiment_by_name("search")
    runs = [r for r in client.search_runs([study.experiment_id]) if "meds.key" in r.data.tags]
    assert {run.info.status for run in runs} == {"FINISHED"}
    steps = [int(run.data.params["detector.finetuning.steps"]) for run in runs]
    whole = SMOKE.meds.finetuning.steps
    of_round = [steps.count(round(whole / share)) for share in (9, 3, 1)]
    assert of_round in ([2, 1, 1], [2, 1, 2])
    assert all(f"training/{METRIC}/mean" in run.data.metrics for run in runs)
    assert (tmp_path / "runs" / "search" / "smoke.html").is_file()
    again = command("sweeps", *arguments)
    assert again.returncode == 0
    assert again.stdout.count("0 to run") == 3
