"""A detector that is fitted to a folder, saved and loaded predicts what the study on the same images measures."""

import numpy as np
import pytest

from harness.detectors import LeavesOut
from harness.errors import InputError, UsageError
from harness.evaluation import Evaluation
from harness.experiment import run_prepared
from harness.experiment.measurement import measure
from harness.experiment.preparation import training_images
from harness.inference import load
from harness.inference.card import UNKNOWN, card
from harness.inference.fit import training_names
from harness.inference.methods import Method
from harness.inference.saved import save
from harness.noise import Noise, contaminate
from harness.ranking.examination import RankingSettings
from harness.ranking.folder import LEAST
from harness.ranking.ranking import rank
from harness.runtime.compute import InProcess, Threads
from tests.harness.experiment.test_experiment import DETECTORS
from tests.support.dataset import ENCODER
from tests.support.fitted import fitted, linked

NOISE = Noise(ratio=0.3)


TRANSDUCTIVE, ALONE = (
    [each for each in DETECTORS if each.requirements.transductive == wanted]
    for wanted in (True, False)
)


@pytest.mark.parametrize("detector", ALONE, ids=lambda d: d.name)
def test_predictions_are_the_scores_of_the_study(small, detector, tmp_path):
    experiment = small.experiment(detector, noise=NOISE, categories=("brick",))
    samples = small.prepared.samples.query("category == 'brick'").reset_index(drop=True)
    split = contaminate(samples, NOISE)
    images = training_images(small.prepared, split.train, samples, detector)
    scorer = detector.fit(images, seed=0, compute=InProcess())
    study = measure(experiment, small.prepared, split, small.data, scorer)
    folder = linked(small.data, split.train["image"], tmp_path / "train")
    method = Method(detector=detector, encoder=ENCODER, size=experiment.evaluation.size)
    own = fitted(folder, method, tmp_path / "cache")
    save(own, tmp_path / "detector", card=card(own))
    loaded = load(tmp_path / "detector")
    found = list(loaded.predict_many(small.data / image for image in split.test["image"]))
    patches = np.stack([each.patch_scores_P for each in found])
    np.testing.assert_allclose(patches, study.scores_NP, rtol=0, atol=1e-5)
    scores = [each.score for each in found]
    np.testing.assert_allclose(scores, study.images["score"], rtol=0, atol=1e-5)
    assert loaded.detector == detector


@pytest.mark.parametrize("detector", TRANSDUCTIVE, ids=lambda d: d.title)
def test_a_method_that_cannot_score_an_image_alone_is_refused(small, detector, tmp_path):
    images = small.prepared.samples.query("category == 'brick' and split == 'train'")["image"]
    folder = linked(small.data, images, tmp_path / "train")
    with pytest.raises(UsageError, match="no score of a single new image"):
        fitted(folder, Method(detector=detector, encoder=ENCODER), tmp_path / "cache")


def test_the_runner_of_studies_computes_these_scores(small, bricks):
    """The scores above are those of the runner, which adds maps and metrics."""
    experiment = small.experiment(
        bricks.fitted.detector, categories=("brick",), evaluation=Evaluation(size=64)
    )
    result = run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())
    images = (small.data / image for image in result.scores["image"])
    found = [each.score for each in load(bricks.folder).predict_many(images)]
    np.testing.assert_allclose(found, result.scores["score"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["memory", "patchcore", "softpatch", "inreach"])
def test_a_training_image_that_is_left_out_is_scored_as_by_a_memory_without_it(small, name):
    """Copies of an image among the training images change no score that leaves the image out, unlike the own score."""
    detector = next(each for each in DETECTORS if each.name == name)
    scorer = detector.fit(small.train_images, seed=0, compute=InProcess())
    assert isinstance(scorer, LeavesOut)
    own, left_out = scorer.score(small.train_images), scorer.score_left_out()
    assert own.shape == left_out.shape
    if name != "softpatch":  # the weight of the nearest other patch may be smaller
        assert (left_out >= own - 1e-6).all()
    assert left_out.mean() > own.mean()


def test_the_contamination_on_the_card_is_that_of_a_ranking(small, bricks, tmp_path):
    samples = small.prepared.samples.query("category == 'brick'")
    images = [*samples["image"], *samples["image"][:2]]
    folder, cache = linked(small.data, images, tmp_path / "images"), tmp_path / "cache"
    own = fitted(folder, Method(detector=bricks.fitted.detector, encoder=ENCODER), cache)
    ranking = rank(
        folder, settings=RankingSettings(encoder=ENCODER), cache=cache, compute=Threads()
    )
    assert own.about["contamination"] == str(ranking.estimates[""])
    assert own.about["contamination"] in card(own)


def test_copies_of_one_image_give_no_contamination(small, bricks, tmp_path):
    folder = linked(small.data, [bricks.new.resolve() / "0.png"] * LEAST, tmp_path / "images")
    own = fitted(folder, Method(detector=bricks.fitted.detector, encoder=ENCODER), bricks.cache)
    assert own.about["contamination"] is None
    assert UNKNOWN in card(own)


def test_a_folder_with_too_few_images_and_a_list_of_others_are_refused(bricks, tmp_path):
    names = training_names(bricks.train)
    assert training_names(bricks.train, names[:0]) == names
    with pytest.raises(InputError, match=f"at least {LEAST}"):
        training_names(bricks.train, names[:1])
    with pytest.raises(InputError, match=r"none\.png is listed"):
        training_names(bricks.train, ["none.png"])


def test_removed_images_are_not_learnt_from(small, bricks, tmp_path):
    samples = small.prepared.samples.query("category == 'brick' and split == 'test'")
    folder = linked(small.data, samples["image"], tmp_path / "more")
    names = training_names(folder, ["0.png", "3.png"])
    assert set(names) == {file.name for file in folder.iterdir()} - {"0.png", "3.png"}


def test_a_method_that_needs_clean_images_is_refused(bricks):
    student = next(each for each in DETECTORS if each.name == "efficient_ad")
    clean = Method(detector=type(student)(teacher="random", clean_validation=True), encoder=ENCODER)
    with pytest.raises(UsageError, match="clean_validation=False"):
        fitted(bricks.train, clean, bricks.cache)
