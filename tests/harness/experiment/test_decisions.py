"""Decisions of experiments: scores with the image itself left out, the split validation, and the table of images."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.detectors import LeavesOut, MemoryDetector, ReconstructionDetector
from harness.evaluation import Evaluation
from harness.evaluation.readouts import image_scores
from harness.experiment import run_prepared
from harness.features import ImageSet
from harness.memory import MemoryEnsemble
from harness.noise import Noise, contaminate
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from tests.support.dataset import ENCODER, NETWORK

NOISE = Noise(ratio=0.3)
MEMORY = MemoryDetector(memory=MemoryEnsemble(ratio=0.5))
PLAIN = ReconstructionDetector(network=NETWORK, training=TrainingConfig(steps=2, batch_size=4))


def run_small(small, detector, **changes):
    experiment = small.experiment(detector, noise=NOISE, **changes)
    return run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())


def values(result):
    return result.metrics.set_index(["readout", "metric", "category"])["value"]


def train_of(small):
    return small.prepared.images(contaminate(small.prepared.samples, NOISE).train)


@pytest.mark.parametrize(
    "detector",
    [
        MemoryDetector(memory=MemoryEnsemble(ratio=1.0, replacement=False)),
        PatchCore(coreset_ratio=1, neighbours=2),
        PatchCore(coreset_ratio=1, reweight=3),
        PatchCore(coreset_ratio=1, scope="all"),
    ],
    ids=["memory", "neighbours", "reweight", "all categories"],
)
def test_an_image_is_left_out_as_if_it_had_not_been_there(small, detector):
    """By hand: the detector is fitted again without the image, and scores the image."""
    images = train_of(small)
    found = detector.fit(images, seed=0, compute=InProcess()).score_left_out()
    first, *others = images.categories
    for position in (0, 5):
        kept = replace(first, rows_N=np.delete(first.rows_N, position))
        alone = replace(first, rows_N=first.rows_N[[position]])
        without = detector.fit(ImageSet((kept, *others)), seed=0, compute=InProcess())
        expected = without.score(ImageSet((alone, *others)))[0]
        np.testing.assert_allclose(found[position], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "detector",
    [MEMORY, PatchCore(), SoftPatch(), InReaCh(min_channel_length=1, std_factor=None)],
    ids=lambda detector: detector.name,
)
def test_an_image_is_farther_from_the_others_than_from_a_bank_with_itself(small, detector):
    images = train_of(small)
    scorer = detector.fit(images, seed=0, compute=InProcess())
    assert isinstance(scorer, LeavesOut)
    left_out = scorer.score_left_out()
    assert left_out.shape == (len(images), scorer.score(images).shape[1])
    assert left_out.mean() > 1.02 * scorer.score(images).mean()


def test_thresholds_of_a_memory_come_from_left_out_images(small):
    result = run_small(small, MEMORY)
    scorer = MEMORY.fit(train_of(small), seed=0, compute=InProcess())
    scores = image_scores(Evaluation(size=64), ENCODER, scorer.score_left_out(), MEMORY.maps)
    for name in result.train["category"].unique():
        own = scores[(result.train["category"] == name).to_numpy()]
        found = values(result)["all", "threshold.quantile_95.left_out", name]
        assert found == pytest.approx(np.quantile(own, 0.95))


def test_thresholds_of_a_network_say_that_it_was_fitted_to_their_images(small):
    result = run_small(small, PLAIN)
    names = {name.partition(".")[2] for name in result.metrics["metric"] if "." in name}
    assert names == {"quantile_95.fitted", "quantile_99.fitted", "mad_3.fitted", "f1max.labels"}


def test_the_table_of_images_has_what_the_numbers_follow_from(small):
    result = run_small(small, MEMORY)
    scores = result.scores
    assert list(scores)[:6] == ["image", "category", "defect", "anomalous", "score", "seen"]
    assert set(scores.loc[scores["seen"], "image"]) == set(
        result.train.loc[result.train["injected"], "image"]
    )
    assert (scores["anomalous"] == (scores["defect"] != "good")).all()
    for rule in list(scores)[6:]:
        for name, group in scores.groupby("category"):
            threshold = values(result)["all", f"threshold.{rule}", name]
            assert (group[rule] == (group["score"] >= threshold)).all()
            recall = group.loc[group["anomalous"], rule].mean()
            assert values(result)["all", f"recall.{rule}", name] == pytest.approx(recall)


def test_normal_images_of_the_split_validation_set_the_target_false_alarm_rate(small):
    samples = small.prepared.samples.copy()
    is_good = (samples["split"] == "test") & (samples["defect"] == "good")
    samples.loc[samples[is_good].groupby("category").head(2).index, "split"] = "validation"
    prepared = replace(small.prepared, samples=samples)
    experiment = small.experiment(PLAIN, noise=NOISE)
    result = run_prepared(experiment, prepared, data=small.data, compute=InProcess())
    rates = result.metrics[result.metrics["metric"].str.contains("false_alarms_5")]
    assert {name.rpartition(".")[2] for name in rates["metric"]} == {"validation"}
    low = values(result)["all", "promised_low.false_alarms_5.validation", "brick"]
    assert low == pytest.approx(1 - 0.975**0.5)  # the larger of two scores has the rate Beta(1, 2)


def test_rules_are_settings_of_the_evaluation_and_the_usual_rules_change_no_key(small):
    usual, none = small.experiment(PLAIN), Evaluation(size=64, thresholds=())
    assert usual.key == small.experiment(PLAIN, evaluation=Evaluation(size=64)).key
    assert usual.key != small.experiment(PLAIN, evaluation=none).key
    with_none = small.experiment(MEMORY, evaluation=none)
    assert with_none.memories == [MEMORY.memory]
    assert small.experiment(MEMORY).memories == [
        MEMORY.memory,
        replace(MEMORY.memory, exclude_self=True),
    ]
    pd.testing.assert_frame_equal(
        run_small(small, PLAIN, evaluation=none).scores,
        run_small(small, PLAIN).scores.iloc[:, :6],
    )
