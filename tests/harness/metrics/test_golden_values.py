"""Image scores by hand, D1 to D7, D14, D16 to D21 and D28 to D30: every digit that was written down.

D8 to D13, D15, D22, D23, D26 and D27 are in `test_hand_pixels`, D24 and D25 in `test_hand_lists`.
"""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, precision_recall_curve

from harness.anomaly_maps import image_scores
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.mvtec_loco import MVTecLOCO
from harness.evaluation import Evaluation, evaluate
from harness.features.encoder import Encoder
from harness.metrics import image_ap, image_auroc, image_f1max, inspection_depth, pixel_sweep
from harness.metrics.as_released import adeval200
from tests.support import layouts as trees

SKEWED = [*np.linspace(0, 0.001, 500), *np.linspace(0.002, 0.003, 499), 100.0]
IMAGES = {  # labels, scores, AUROC, AP, F1-max, highest threshold that reaches it
    "d01_one_pair_swapped": ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75, 5 / 6, 0.8, 0.35),
    "d02_perfect": ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 1, 1, 1, 0.8),
    "d03_constant": ([0, 0, 0, 1], [0.5] * 4, 0.5, 0.25, 0.4, 0.5),
    # AP below the share of anomalies is right: there is no lower bound to assert.
    "d04_inverted": ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 0, 5 / 12, 2 / 3, 0.1),
    "d05_ties": ([0, 1, 1, 0, 1], [0.5, 0.5, 0.7, 0.2, 0.5], 5 / 6, 5 / 6, 6 / 7, 0.5),
    "d06_mixed": ([1, 0, 1, 0, 0, 1, 0, 0], range(8, 0, -1), 11 / 15, 13 / 18, 2 / 3, 6),
    "d29_skewed": ([0] * 500 + [1] * 500, SKEWED, 1, 1, 1, 0.002),
}


@pytest.mark.parametrize("name", IMAGES)
def test_image_metrics(name):
    labels, scores, auroc, ap, f1max, threshold = IMAGES[name]
    labels, scores = np.array(labels), np.array(scores, dtype=float)
    assert image_auroc(labels, scores) == pytest.approx(auroc, abs=1e-12)
    assert image_ap(labels, scores) == pytest.approx(ap, abs=1e-12)
    assert image_f1max(labels, scores) == pytest.approx(f1max, abs=1e-12)
    f1 = {t: 2 * labels[scores >= t].sum() / ((scores >= t).sum() + labels.sum()) for t in scores}
    assert max(t for t in f1 if f1[t] > f1max - 1e-12) == pytest.approx(threshold)


TOOTHBRUSH = "11111001" + "0" * 58  # most suspect first, 1 where an anomaly was injected


@pytest.mark.parametrize(
    ("labels", "scores", "trapezoid"),
    [
        pytest.param(*IMAGES["d01_one_pair_swapped"][:2], 0.791667, id="d01"),
        pytest.param(*IMAGES["d03_constant"][:2], 0.625, id="d03"),
        pytest.param([int(c) for c in TOOTHBRUSH], -np.arange(66.0), 0.9554, id="d19"),
    ],
)
def test_average_precision_is_no_trapezoid(labels, scores, trapezoid):
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert auc(recall, precision) == pytest.approx(trapezoid, abs=5e-5)
    assert abs(image_ap(np.array(labels), np.array(scores)) - trapezoid) > 0.002


def test_d07_without_anomalies_image_metrics_are_undefined():
    labels, scores = np.zeros(3, int), np.array([0.1, 0.2, 0.3])
    assert all(np.isnan(metric(labels, scores)) for metric in (image_auroc, image_ap, image_f1max))


def test_d02_and_d29_the_strips_of_adeval_differ():
    labels, scores = IMAGES["d02_perfect"][:2]
    masks, maps = np.array([[labels]]), np.array([[scores]], dtype=np.float32)
    assert adeval200(masks, maps)["pixel_ap"] == pytest.approx(0.5, abs=1e-6)
    # All but one score share the lowest strip, with 200 strips as with 1000.
    labels, scores = IMAGES["d29_skewed"][:2]
    values = adeval200(np.array([[labels]]), np.array([[scores]]))
    assert values["pixel_auroc"] == pytest.approx(0.501, abs=1e-6)
    assert values["pixel_ap"] == pytest.approx(0.7485, abs=1e-6)


def evaluated(dataset, root, test, levels):
    """Metrics over all test images from one score per image, and these scores as they were read out."""
    table, scores = evaluate(
        Evaluation(size=32),
        dataset=dataset,
        encoder=Encoder(image_size=32),
        test=test,
        seen_N=np.zeros(len(test), dtype=bool),
        scores_NP=np.tile(np.array(levels)[:, None], (1, 4)),
        data=root,
    )
    return table.set_index(["readout", "category", "metric"])["value"]["all"], scores


def test_d14_categories_are_averaged_and_never_pooled(tmp_path):
    dataset = MVTecAD()
    test = dataset.samples(trees.mvtec_ad(tmp_path)).query("split == 'test'")
    levels = {("bottle", "good"): 0.1, ("bottle", "crack"): 0.2}
    levels |= {("cable", "good"): 0.7, ("cable", "crack"): 0.9}
    in_order = [levels[key] for key in zip(test["category"], test["defect"], strict=True)]
    values, scores = evaluated(dataset, tmp_path, test, in_order)
    assert values["mean", "image_auroc"] == 1.0
    assert image_auroc((test["defect"] != "good").to_numpy(), scores) == 0.75  # pooled


def test_d16_loco_averages_structural_and_logical_anomalies(tmp_path):
    dataset = MVTecLOCO()
    samples = dataset.samples(trees.mvtec_loco(tmp_path)).query("split == 'test'")
    levels = {
        "good": [0.1, 0.2, 0.3, 0.4],
        "structural_anomalies": [0.35, 0.5],
        "logical_anomalies": [0.05, 0.45, 0.25],
    }
    groups = [samples[samples["defect"] == kind].iloc[[0] * len(s)] for kind, s in levels.items()]
    test = pd.concat(groups, ignore_index=True)
    test["object"] = test.index.astype(str)
    values, scores = evaluated(dataset, tmp_path, test, [*itertools.chain(*levels.values())])
    labels = (test["defect"] != "good").to_numpy()
    structural, logical = ((test["defect"] != f"{k}_anomalies") for k in ("logical", "structural"))
    assert image_auroc(labels[structural], scores[structural]) == 0.875
    assert image_auroc(labels[logical], scores[logical]) == 0.5
    assert values["juice_bottle", "image_auroc"] == pytest.approx(0.6875, abs=1e-12)
    assert image_auroc(labels, scores) == pytest.approx(0.65)  # pooled


def test_d17_ties_count_against_the_inspection_depth():
    injected, scores = np.array([1, 0, 0, 1, 0]), np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert inspection_depth(injected, scores) == 0.8
    assert inspection_depth(injected, scores + 1e-9 * injected) == 0.4  # ties broken in its favour
    assert image_ap(injected, scores) == pytest.approx(0.75, abs=1e-12)


def test_d18_label_correction_of_ten_images():
    injected = np.array([0, 1, 0, 0, 1, 0, 0, 0, 0, 0])
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.7, 0.3, 0.05, 0.4, 0.6, 0.15])
    assert image_ap(injected, scores) == pytest.approx(5 / 6, abs=1e-12)
    assert inspection_depth(injected, scores) == 0.3


CORRECTIONS = {  # ranking, AP and inspection depth in per cent as MeDS prints them (Table 30)
    "d19_toothbrush": (TOOTHBRUSH, 95.83, 12.12),
    "d20_bottle_10": ("1" * 21 + "0" * 209, 100, 9.13),
    "d20_leather": ("1" * 24 + "0" * 245, 100, 8.92),
    "d20_metal_nut": ("1" * 88 + "0" * 220, 100, 28.57),
    "d20_bottle_40": ("1" * 63 + "0" * 209, 100, 23.16),
    "d21_zipper": ("1" * 95 + "0001" + "0" * 237, 99.97, 29.46),
}


@pytest.mark.parametrize("name", CORRECTIONS)
def test_label_correction_equals_published_values(name):
    ranking, ap, depth = CORRECTIONS[name]
    injected = np.array([int(c) for c in ranking])
    scores = -np.arange(len(injected))
    assert round(100 * image_ap(injected, scores), 2) == ap
    assert round(100 * inspection_depth(injected, scores), 2) == depth
    # Every share is of all training images: the depth is the place of the last anomaly.
    assert inspection_depth(injected, scores) == (ranking.rindex("1") + 1) / len(ranking)


def test_d28_neither_order_nor_packaging_of_the_scores_counts():
    labels, scores = np.array([1, 0, 1]), np.array([-1.0, 0, 1])
    for order in itertools.permutations(range(3)):
        assert image_auroc(labels[[*order]], scores[[*order]]) == 0.5
    for shape in ((1, 1, 3), (3, 1, 1)):  # one image of three pixels, three images of one
        assert pixel_sweep(labels.reshape(shape), scores.reshape(shape)).auroc() == 0.5
    # A sigmoid on every update that leaves [0, 1], and on no other, gives 1.
    squashed = np.where(np.abs(scores - 0.5) > 0.5, 1 / (1 + np.exp(-scores)), scores)
    assert image_auroc(labels, squashed) == 1


def test_d30_image_scores_average_at_least_one_pixel():
    grades = np.arange(1, 101).reshape(1, 10, 10) / 100
    assert image_scores(grades, top_percent=1)[0] == 1.0
    assert image_scores(grades, top_percent=5)[0] == pytest.approx(0.98, abs=1e-12)
    assert image_scores(np.arange(1, 51).reshape(1, 5, 10) / 50, top_percent=1)[0] == 1.0
