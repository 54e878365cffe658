"""Experiments: values with keys, and runs that see labels only when they evaluate."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from baselines.ad2 import AD2
from baselines.anomaly_dino import AnomalyDino
from baselines.comet import CoMet, MetaLearning
from baselines.efficient_ad import EfficientAD
from baselines.fun_ad import FunAD
from baselines.inreach import InReaCh
from baselines.llbnad import Llbnad
from baselines.musc import MuSc
from baselines.patchcore import PatchCore
from baselines.rad import RAD
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from baselines.subspace_ad import SubspaceAD
from baselines.uniad import UniAD, UniADTransformer
from harness.anomaly_maps import DINOMALY
from harness.datasets.magnetic_tile import MagneticTile
from harness.detectors import (
    AdaptiveMemoryDetector,
    MemoryDetector,
    ReconstructionDetector,
    Requirements,
)
from harness.detectors.meds import MeDS
from harness.errors import InputError
from harness.evaluation import Evaluation
from harness.experiment import Experiment, names, run, run_prepared
from harness.features.patch_features import WithClassToken
from harness.memory import AdaptiveMemory, MemoryEnsemble
from harness.memory.scores import memory_scores
from harness.metrics import image_auroc
from harness.metrics.names import DEFECT, SHORTFALL
from harness.networks.inp_former import InpFormer
from harness.noise import Noise
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from harness.training.phases import ProgressiveSelection
from tests.support.dataset import ENCODER, NETWORK, SMALL

SHORT = TrainingConfig(steps=4, batch_size=4)
STUDENT = ReverseStudent(bottleneck=1, stages=(1, 1))
QUERIES = UniADTransformer(width=16, depth=1, heads=2, hidden=24)
SMALL_AD = EfficientAD(teacher="random", image_size=64, width=16, steps=2, batch_size=3)
DETECTORS = [
    MemoryDetector(memory=MemoryEnsemble(ratio=0.5)),
    MemoryDetector(memory=MemoryEnsemble(size=3, replacement=False)),
    ReconstructionDetector(network=NETWORK, training=SHORT),
    MeDS(network=NETWORK, distillation=SHORT, finetuning=SHORT),
    AdaptiveMemoryDetector(),
    PatchCore(),
    SoftPatch(scope="all"),
    InReaCh(min_channel_length=1, std_factor=None),
    FunAD(epochs=2, batch_size=4),
    MuSc(layers="separate"),
    MuSc(images="training"),
    MuSc(images="both"),
    AnomalyDino(),
    RAD(neighbours=4),
    SubspaceAD(),
    UniAD(network=QUERIES, training=SHORT),
    ReverseDistillation(network=STUDENT, training=SHORT),
    CoMet(network=NETWORK, training=SHORT, meta=MetaLearning(passes=1, tasks=2)),
    MeDS(network=STUDENT, distillation=SHORT, finetuning=SHORT),
    Llbnad(network=NETWORK, subsets=2, screening=SHORT, training=SHORT),
    MeDS(
        network=NETWORK,
        adaptive=AdaptiveMemory(),
        distillation=SHORT,
        finetuning=SHORT,
        selection=ProgressiveSelection(modes=2),
        scores="larger",
    ),
    MeDS(
        network=QUERIES,
        memory=MemoryEnsemble(distance="euclidean"),
        distillation=SHORT,
        finetuning=SHORT,
    ),
    SMALL_AD,
    AD2(student=SMALL_AD),
]


def run_small(small, experiment):
    return run_prepared(experiment, small.prepared, data=small.data, compute=InProcess())


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_every_detector_has_every_metric(small, detector):
    """Its scores: see `tests.harness.contract`."""
    result = run_small(small, small.experiment(detector, noise=Noise(ratio=0.3)))
    metrics = result.metrics[~result.metrics["readout"].isin([DEFECT, SHORTFALL])]
    means = metrics[metrics["category"] == "mean"].set_index("metric")["value"]
    assert len(metrics) == 4 * len(means)
    assert means[~means.index.str.startswith("threshold.")].between(0, 1).all()


def test_names_tell_what_the_experiments_of_a_study_set_otherwise(small):
    plain, meds = (next(d for d in DETECTORS if d.name == name) for name in ("plain", "meds"))
    longer = replace(plain, training=replace(SHORT, steps=5))
    bounded = replace(meds, network=InpFormer(width=16, heads=2))
    study = [small.experiment(detector) for detector in (plain, longer, meds, bounded)]
    study.append(small.experiment(longer, seed=1))
    assert list(names({experiment.key: experiment for experiment in study}).values()) == [
        "plain network, noise 0%",
        "plain network, noise 0%, steps=5",
        "MeDS, noise 0%, rho 0.1",
        "MeDS, noise 0%, rho 0.1, network=InpFormer",
        "plain network, noise 0%, seed 1",
    ]


def test_stages_of_meds_have_the_names_that_figures_give_them(small):
    meds = next(d for d in DETECTORS if d.name == "meds")
    distilled = replace(meds, finetuning=None)
    distance = distilled.network.distance
    near, far = (replace(depth, distance=distance) for depth in AdaptiveMemory().depths)
    joined = replace(distilled, partner=AdaptiveMemory(near=near, far=far), scores="larger")
    study = [small.experiment(detector) for detector in (meds, distilled, joined)]
    assert list(names({experiment.key: experiment for experiment in study}).values()) == [
        "MeDS, noise 0%, rho 0.1",
        "distilled model, noise 0%, rho 0.1",
        "distilled model + adaptive memory, noise 0%, rho 0.1",
    ]


def test_a_category_alone_is_what_it_is_among_all_to_a_method_that_keeps_them_apart(small):
    everything = small.experiment(DETECTORS[0], noise=Noise(ratio=0.3))
    alone = replace(everything, categories=("grass",))
    assert replace(alone, categories=None).key == everything.key != alone.key
    result, among = run_small(small, alone), run_small(small, everything)
    kinds = set(result.metrics["category"][result.metrics["readout"] == DEFECT])
    assert set(result.metrics["category"]) - kinds == {"grass", "mean"}
    assert all(kind.startswith("grass/") for kind in kinds)
    for table in ("metrics", "train", "counts", "scores"):
        ours, theirs = getattr(result, table), getattr(among, table)
        ours, theirs = (rows[rows["category"] == "grass"] for rows in (ours, theirs))
        pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs.reset_index(drop=True))
    with pytest.raises(InputError, match=r"contains no category 'sand'. It contains: brick, grass"):
        run_small(small, replace(alone, categories=("sand",)))


def test_metrics_are_computed_from_the_scores_per_category(small):
    result = run_small(small, small.experiment(DETECTORS[0]))
    for category, group in result.scores.groupby("category"):
        of_category = result.metrics[result.metrics["category"] == category]
        auroc = of_category.set_index("metric")["value"]["image_auroc"]
        assert auroc == image_auroc(group["anomalous"].to_numpy(), group["score"].to_numpy())
    assert (
        result.metrics.query("metric == 'image_auroc' and category == 'brick'")["value"].item()
        > 0.6
    )


class Spy:
    """A detector that keeps what it was given and scores at random."""

    name = title = "spy"
    maps = DINOMALY
    requirements = Requirements()

    def __init__(self):
        self.seen = []
        self.history = {}

    def fit(self, images, *, seed, compute):
        self.seen.append(images)
        return self

    def score(self, images):
        self.seen.append(images)
        return np.random.default_rng(0).random((len(images), 64))


def test_labels_never_reach_a_detector(small):
    """Whatever the labels of the training table say, a detector is given the same."""
    samples, spies = small.prepared.samples, (Spy(), Spy())
    run_small(small, small.experiment(spies[0]))
    renamed = samples["defect"].where(samples["defect"] == "good", "something else")
    unmasked = replace(small.prepared, samples=samples.assign(mask=None, defect=renamed))
    other = small.experiment(spies[1])
    run_prepared(other, unmasked, data=small.data, compute=InProcess())
    assert len(spies[0].seen) == 3  # fitted to training images, and tested on both sets
    for one, two in zip(spies[0].seen, spies[1].seen, strict=True):
        for mine, theirs in zip(one.categories, two.categories, strict=True):
            np.testing.assert_array_equal(mine.rows_N, theirs.rows_N)


def test_injected_images_are_trained_on_and_still_tested(small):
    result = run_small(small, small.experiment(DETECTORS[0], noise=Noise(ratio=0.5)))
    assert result.counts["injected"].tolist() == [4, 4, 4]
    injected = set(result.train.loc[result.train["injected"], "image"])
    assert len(injected) == 12
    assert injected <= set(result.scores.loc[result.scores["anomalous"], "image"])


def test_contamination_lowers_the_memory_of_all_images(small):
    memory = MemoryDetector(memory=MemoryEnsemble(ratio=1.0))
    scores = {}
    for ratio in (0.0, 0.5):
        result = run_small(small, small.experiment(memory, noise=Noise(ratio=ratio)))
        means = result.metrics.query(
            "category == 'mean' and metric == 'image_auroc' and readout == 'all'"
        )
        scores[ratio] = means["value"].item()
    assert scores[0.5] < scores[0.0] - 0.05


def test_what_a_detector_tells_of_its_fit_is_a_read_out(small):
    """InReaCh's share of channels that are long enough: all of them where a head and a member are enough."""
    shares = []
    for length in (1, 3):
        detector = InReaCh(min_channel_length=length, std_factor=None)
        metrics = run_small(small, small.experiment(detector)).metrics
        fit = metrics[metrics["readout"] == "fit"]
        assert set(fit["metric"]) == {"surviving_channels"}
        categories = sorted(small.prepared.samples["category"].unique())
        assert list(fit["category"]) == [*categories, "mean"]
        shares.append(fit["value"].to_numpy())
    assert (shares[0] == 1).all()
    assert ((shares[1] > 0) & (shares[1] < 1)).all()


def test_selections_are_counted_with_their_contamination(small):
    result = run_small(small, small.experiment(DETECTORS[3], noise=Noise(ratio=0.5)))
    assert set(result.selections["phase"]) == {"finetuning"}
    assert (result.selections["contaminated"] <= result.selections["selected"]).all()
    assert result.selections["step"].iloc[0] == 0


def test_keys_are_equal_for_equal_experiments_alone(small):
    experiment = small.experiment(DETECTORS[3])
    assert experiment.key == small.experiment(DETECTORS[3]).key
    others = [
        replace(experiment, seed=1),
        replace(experiment, noise=Noise(ratio=0.1)),
        replace(experiment, evaluation=Evaluation(size=32)),
        replace(experiment, detector=DETECTORS[2]),
        replace(experiment, encoder=replace(experiment.encoder, image_size=64)),
    ]
    assert len({experiment.key, *(other.key for other in others)}) == 6


def test_a_cosine_memory_refuses_features_that_are_not_of_unit_length(small):
    encoder = replace(small.experiment(DETECTORS[0]).encoder, memory=WithClassToken())
    with pytest.raises(InputError, match="WithClassToken does not normalise"):
        small.experiment(DETECTORS[0], encoder=encoder)
    euclidean = MemoryDetector(memory=MemoryEnsemble(distance="euclidean"))
    assert small.experiment(euclidean, encoder=encoder).encoder == encoder


def test_parameters_are_flat_and_name_the_classes(small):
    params = small.experiment(DETECTORS[3], noise=Noise(ratio=0.25)).params
    assert params["detector"] == "MeDS"
    assert params["detector.memory.ratio"] == 0.1
    assert params["detector.network"] == "Dinomaly"
    assert params["noise.ratio"] == 0.25
    assert params["seed"] == 0


def test_running_alone_does_everything_from_the_images_on(tmp_path):
    experiment = Experiment(
        dataset=replace(SMALL, train=3, good=1, defective=5), encoder=ENCODER, detector=DETECTORS[0]
    )
    result = run(experiment, data=tmp_path / "data", cache=tmp_path / "cache")
    again = run(experiment, data=tmp_path / "data", cache=tmp_path / "cache")
    np.testing.assert_array_equal(result.scores["score"], again.scores["score"])
    assert result.data_digest == again.data_digest


def test_a_missing_data_root_stops_before_anything_is_written(tmp_path):
    experiment = Experiment(dataset=MagneticTile(), encoder=ENCODER, detector=DETECTORS[0])
    with pytest.raises(InputError, match="no such folder"):
        run(experiment, data=tmp_path / "nowhere", cache=tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_training_patches_are_measured_where_something_was_injected(small):
    """Against the definition: masks at the grid, scores of the training images, scikit-learn's AUROC."""
    memory = MemoryEnsemble(ratio=0.3)
    experiment = small.experiment(
        MemoryDetector(memory=memory),
        noise=Noise(ratio=0.4),
        evaluation=Evaluation(size=64, training=True),
    )
    result = run_small(small, experiment)
    measured = result.metrics.query("readout == 'training' and category == 'brick'")
    measured = measured.set_index("metric")["value"]
    train = result.train.query("category == 'brick'")
    samples = small.prepared.samples.set_index("image").loc[train["image"]]
    images = small.prepared.images(samples)
    scores = memory_scores(images, images, memory)
    grid = int(scores.shape[1] ** 0.5)
    anomalous = np.zeros(scores.shape, dtype=bool)
    for i, mask in enumerate(samples["mask"]):
        if isinstance(mask, str):
            pixels = np.asarray(Image.open(small.data / mask).resize((128, 128), Image.NEAREST)) > 0
            blocks = pixels.reshape(grid, 128 // grid, grid, 128 // grid)
            anomalous[i] = blocks.any(axis=(1, 3)).ravel()
    assert 0 < anomalous.sum() < anomalous.size / 2
    expected = roc_auc_score(anomalous.ravel(), scores.ravel())
    assert measured["patch_auroc"] == pytest.approx(expected, abs=0.01)
    gap = scores[anomalous].mean() - scores[~anomalous].mean()
    assert measured["gap"] == pytest.approx(gap, abs=0.01)
    assert measured["draws"] == memory.draws(len(train))
    assert measured["gap_remainder"] >= -1e-3


def test_without_injected_images_there_is_nothing_to_part(small):
    experiment = small.experiment(MemoryDetector(), evaluation=Evaluation(size=64, training=True))
    assert not (run_small(small, experiment).metrics["readout"] == "training").any()
