"""On a GPU: the scores of the CPU where nothing is trained, and the same ones every time where something is."""

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr

from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from baselines.uniad import UniAD, UniADTransformer
from harness.detectors import MemoryDetector, ReconstructionDetector
from harness.detectors.meds import MeDS
from harness.features.encoding import encode
from harness.memory import MemoryEnsemble
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import InProcess, default_device
from harness.training.optimizer import TrainingConfig
from tests.support.dataset import ENCODER, NETWORK

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
UNTRAINED = {
    "memory": MemoryDetector(memory=MemoryEnsemble(ratio=0.3)),
    "patchcore": PatchCore(),
    "patchcore, exact": PatchCore(greedy="exact"),
    "softpatch": SoftPatch(),
    "inreach": InReaCh(min_channel_length=1, std_factor=None),
}
TRAINED = {
    "dinomaly": ReconstructionDetector(network=NETWORK, training=TrainingConfig(steps=12)),
    "hvq": ReconstructionDetector(
        network=Hvq(width=16, heads=2), training=TrainingConfig(steps=12)
    ),
    "inp_former": ReconstructionDetector(
        network=InpFormer(width=16, depth=2, heads=2), training=TrainingConfig(steps=12)
    ),
    "uniad": UniAD(
        network=UniADTransformer(width=16, depth=2, heads=2, hidden=24),
        training=replace(UniAD().training, steps=12),
    ),
    "reverse_distillation": ReverseDistillation(
        network=ReverseStudent(bottleneck=1, stages=(1, 1)),
        training=replace(ReverseDistillation().training, steps=12),
    ),
    "meds": MeDS(
        network=NETWORK, distillation=TrainingConfig(steps=12), finetuning=TrainingConfig(steps=12)
    ),
    "fun_ad": FunAD(epochs=4, batch_size=8, learning_rate=2e-4, equal=1e-4),
}


@contextmanager
def without_gpu():
    """A pool with one process that sees no GPU."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            yield lambda function, *values: pool.submit(function, *values).result()
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def scores(small, detector):
    scorer = detector.fit(small.train_images, seed=0, compute=InProcess())
    return default_device().type, scorer.score(small.prepared.images(small.prepared.samples))


def features(photograph):
    return encode(ENCODER, [photograph]).memory_NPC


@pytest.mark.parametrize("name", UNTRAINED)
def test_scores_are_those_of_the_cpu(small, name):
    device, ours_NP = scores(small, UNTRAINED[name])
    with without_gpu() as call:
        other, theirs_NP = call(scores, small, UNTRAINED[name])
    assert (device, other) == ("cuda", "cpu")
    np.testing.assert_allclose(ours_NP, theirs_NP, rtol=1e-3, atol=1e-4 * theirs_NP.max())


def test_features_are_those_of_the_cpu(photograph):
    with without_gpu() as call:
        theirs = call(features, photograph)
    np.testing.assert_allclose(features(photograph), theirs, atol=3e-4)


def test_features_are_the_same_in_any_batch(photograph, tmp_path):
    other = tmp_path / "turned.png"
    with Image.open(photograph) as image:
        image.rotate(90).save(other)
    together_NPC = encode(ENCODER, [photograph, *[other] * 31]).memory_NPC
    np.testing.assert_array_equal(together_NPC[:1], features(photograph))


@pytest.mark.parametrize("name", TRAINED)
def test_training_again_gives_the_same_scores_to_the_bit(small, name, caplog):
    first_NP, second_NP = (scores(small, TRAINED[name])[1] for _ in range(2))
    assert np.isfinite(first_NP).all()
    np.testing.assert_array_equal(first_NP, second_NP)
    assert "without torch.compile" not in caplog.text


@pytest.mark.parametrize("name", TRAINED)
def test_training_leads_where_it_leads_on_the_cpu(small, name):
    _, ours_NP = scores(small, TRAINED[name])
    with without_gpu() as call:
        _, theirs_NP = call(scores, small, TRAINED[name])
    assert spearmanr(ours_NP.ravel(), theirs_NP.ravel()).statistic > 0.95
