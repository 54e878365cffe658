"""Evaluation: read-outs, objects and LOCO's own protocol, from patch scores to the table."""

import numpy as np
import pandas as pd
import pytest

from harness.anomaly_maps import DINOMALY, MapSettings, anomaly_maps
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.datasets.real_iad import RealIAD
from harness.evaluation import Evaluation, evaluate
from harness.evaluation.readouts import image_scores
from harness.features.encoder import Encoder
from harness.images import read_mask, resize_mask
from harness.metrics import image_auroc, pixel_ap
from harness.metrics.as_released import adeval200, dinomaly200_aupro
from tests.support import layouts as trees
from tests.support.dataset import SMALL

ENCODER = Encoder(image_size=32)


def measured(dataset, root, test, scores_NP, seen=None):
    table, scores_N = evaluate(
        Evaluation(size=32),
        dataset=dataset,
        encoder=ENCODER,
        test=test,
        seen_N=np.zeros(len(test), dtype=bool) if seen is None else np.asarray(seen),
        scores_NP=scores_NP,
        data=root,
    )
    return table.set_index(["readout", "category", "metric"])["value"], scores_N


def test_unseen_anomalies_are_read_out_alone(small):
    samples = small.prepared.samples
    test = samples[(samples["split"] == "test") & (samples["category"] == "brick")]
    defective = (test["defect"] != "good").to_numpy()
    seen = defective & (np.arange(len(test)) % 2 == 0)
    rng = np.random.default_rng(0)
    scores_NP = (
        rng.random((len(test), 16))
        + np.where(defective, 0.1, 0)[:, None]
        - np.where(seen, 0.4, 0)[:, None]
    )
    values, scores_N = measured(SMALL, small.data, test, scores_NP, seen)
    kept = ~seen
    assert values["all", "brick", "image_auroc"] == image_auroc(defective, scores_N)
    assert values["unseen", "brick", "image_auroc"] == image_auroc(defective[kept], scores_N[kept])
    assert values["unseen", "mean", "pixel_aupro"] > values["all", "mean", "pixel_aupro"]
    assert ("unseen", "brick", "pixel_aupro_dinomaly") not in values
    assert ("all", "brick", "pixel_auroc_meds") in values


def test_given_image_scores_are_used_unless_the_evaluation_has_its_own_maps():
    scores_NP = np.random.default_rng(0).random((5, 17))
    given = MapSettings(image="given")
    own_N = image_scores(Evaluation(size=32), ENCODER, scores_NP, given)
    np.testing.assert_array_equal(own_N, scores_NP[:, 0])
    other_N = image_scores(Evaluation(size=32, maps=DINOMALY), ENCODER, scores_NP, given)
    plain_N = image_scores(Evaluation(size=32), ENCODER, scores_NP[:, 1:], DINOMALY)
    np.testing.assert_array_equal(other_N, plain_N)


def test_values_named_after_a_release_use_its_masks(small):
    samples = small.prepared.samples
    test = samples[(samples["split"] == "test") & (samples["category"] == "brick")]
    scores_NP = np.random.default_rng(0).random((len(test), 16))
    values, _ = measured(SMALL, small.data, test, scores_NP)
    maps = anomaly_maps(scores_NP, input_size=32, size=32)

    def masks(rule):
        read = np.zeros(maps.shape, dtype=bool)
        for i, name in enumerate(test["mask"]):
            if isinstance(name, str):
                native = read_mask(small.data / name, above=SMALL.mask_above)
                read[i] = resize_mask(native, 32, rule)
        return read

    found = values["all", "brick"]
    assert found["pixel_ap"] == pytest.approx(pixel_ap(masks("half"), maps))
    expected = dinomaly200_aupro(masks("dinomaly"), maps)
    assert found["pixel_aupro_dinomaly"] == pytest.approx(expected)
    for release, rule in (("meds", "dinomaly"), ("inp_former", "inp_former")):
        for metric, value in adeval200(masks(rule), maps).items():
            assert found[f"{metric}_{release}"] == pytest.approx(value), (metric, release)
    assert found["pixel_ap_meds"] != found["pixel_ap_inp_former"]


def test_without_injection_there_is_one_read_out(small):
    samples = small.prepared.samples
    test = samples[samples["split"] == "test"]
    scores_NP = np.random.default_rng(0).random((len(test), 16))
    values, _ = measured(SMALL, small.data, test, scores_NP)
    assert set(values.index.get_level_values("readout")) == {"all"}
    means = values["all"].groupby("metric").apply(lambda v: v.drop("mean", level="category").mean())
    for metric, mean in means.items():
        assert values["all", "mean", metric] == pytest.approx(mean)


def test_a_perfect_loco_map_has_a_perfect_spro(tmp_path):
    dataset = MVTecLOCO()
    samples = dataset.samples(trees.mvtec_loco(tmp_path))
    test = samples[samples["split"] == "test"].reset_index(drop=True)
    scores_NP = np.zeros((len(test), 64))
    for i, mask in enumerate(test["mask"]):
        if isinstance(mask, str):
            scores_NP[i] = 1.0
    values, _ = measured(dataset, tmp_path, test, scores_NP)
    assert values["all", "juice_bottle", "image_auroc"] == 1
    assert (
        values["all", "juice_bottle", "pixel_auspro_0.05"] < 1
    )  # the whole image is no precise map


def test_kinds_of_loco_anomalies_are_measured_apart_then_averaged(tmp_path):
    """Structural ones stand out, logical ones are the least of all."""
    dataset = MVTecLOCO()
    samples = dataset.samples(trees.mvtec_loco(tmp_path))
    test = samples[samples["split"] == "test"].reset_index(drop=True)
    level = test["defect"].map({"good": 0.5, "structural_anomalies": 1.0, "logical_anomalies": 0.1})
    scores_NP = np.tile(level.to_numpy()[:, None], (1, 64))
    values, _ = measured(dataset, tmp_path, test, scores_NP)
    found = values["all", "juice_bottle"]
    assert found["image_auroc_structural"] == 1
    assert found["image_auroc_logical"] == 0
    assert found["image_auroc"] == 0.5


def test_views_of_an_object_are_scored_together(tmp_path):
    dataset = RealIAD()
    root = trees.real_iad(tmp_path)
    test = dataset.samples(root).query("split == 'test'").reset_index(drop=True)
    high_on_the_clean_view = {
        "mint_0009_NG_HS_C2": 1.0,
        "mint_0009_NG_HS_C1": 0.1,
        "mint_0002_OK_C1": 0.5,
    }
    levels = [
        next(v for k, v in high_on_the_clean_view.items() if k in image) for image in test["image"]
    ]
    scores_NP = np.tile(np.array(levels)[:, None], (1, 4))
    values, _ = measured(dataset, root, test, scores_NP)
    assert values["all", "mint", "image_auroc"] == 0
    assert values["all", "mint", "object_auroc"] == 1


def test_means_skip_what_is_not_defined(small):
    samples = small.prepared.samples
    test = samples[samples["split"] == "test"]
    test = test[(test["category"] == "brick") | (test["defect"] == "good")]
    scores_NP = np.random.default_rng(0).random((len(test), 16))
    values, _ = measured(SMALL, small.data, test, scores_NP)
    assert pd.isna(values["all", "grass", "image_auroc"])
    assert values["all", "mean", "image_auroc"] == values["all", "brick", "image_auroc"]
