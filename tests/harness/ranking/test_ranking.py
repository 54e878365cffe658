"""Label correction: rankings of unlabelled folders, and folders without what was ticked."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import average_precision_score

from harness.datasets import images_below
from harness.detectors import MemoryDetector
from harness.detectors.meds import MeDS
from harness.distances import image_distances
from harness.errors import InputError
from harness.evaluation import Evaluation
from harness.evaluation.label_ranking import AUPRC, DEPTH
from harness.experiment import run_prepared
from harness.features.encoding import encode
from harness.images import read_image_list, read_rgb, source
from harness.memory import MemoryEnsemble
from harness.noise import Noise, contaminate
from harness.ranking.examination import RankingSettings
from harness.ranking.folder import LEAST, find_images
from harness.ranking.ranking import Ranking, quality, rank
from harness.ranking.removal import clean
from harness.runtime.compute import InProcess
from harness.selection import robust_max
from harness.training.optimizer import TrainingConfig
from tests.support.commands import command
from tests.support.dataset import ENCODER, NETWORK

SHORT = TrainingConfig(steps=30, batch_size=8)
DETECTOR = MeDS(network=NETWORK, distillation=SHORT, finetuning=SHORT)
TOGETHER = RankingSettings(encoder=ENCODER, together=True)


@pytest.fixture(scope="module")
def ranking(folder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return rank(folder, settings=TOGETHER, cache=cache, compute=InProcess())


def test_every_image_is_ranked_once_and_the_wrong_ones_come_first(folder, ranking):
    names = find_images(folder)
    assert sorted(ranking.images) == sorted(names)
    assert (np.diff(ranking.scores_N) <= 0).all()
    assert ranking.maps_NSS.shape == (len(names), 128, 128)
    wrong = sorted(names, key=lambda name: int(Path(name).stem))[-2:]
    found = quality(ranking, wrong).set_index("metric")
    assert found.loc["AUPRC", "floor"] == pytest.approx(2 / len(names))
    assert found.loc["AUPRC", "value"] > 3 * found.loc["AUPRC", "floor"]
    assert found.loc["inspection depth", "value"] >= found.loc["inspection depth", "floor"]


def test_a_trained_ranking_has_every_image_and_finds_the_wrong_ones(folder, tmp_path):
    settings = replace(TOGETHER, detector=DETECTOR)
    trained = rank(folder, settings=settings, cache=tmp_path, compute=InProcess())
    names = find_images(folder)
    assert sorted(trained.images) == sorted(names)
    assert (trained.nearest_N == -1).all()
    wrong = sorted(names, key=lambda name: int(Path(name).stem))[-2:]
    found = quality(trained, wrong).set_index("metric")["value"]
    assert found["AUPRC"] > 3 * 2 / len(names)


def test_the_nearest_image_is_the_most_similar_one_of_the_less_suspicious_half(folder, ranking):
    features = _features(folder, ranking)
    mean_NN = image_distances(features, features).mean(axis=1)
    np.fill_diagonal(mean_NN, np.inf)
    is_normal_N = ranking.scores_N <= np.median(ranking.scores_N)
    expected_N = np.where(is_normal_N, mean_NN, np.inf).argmin(axis=1)
    np.testing.assert_array_equal(ranking.nearest_N, expected_N)


def _features(folder, ranking):
    """Memory features of the images in the order of the ranking."""
    return encode(ENCODER, [folder / name for name in ranking.images]).memory_NPC


def test_the_suspicion_is_the_largest_of_six_robust_deviations(folder, ranking):
    features = _features(folder, ranking).astype(np.float32)
    distances_NPN = image_distances(features, features)
    others = len(features) - 1
    views = {(depth, top): [] for depth in range(3) for top in (2, 5)}
    for i, distances_PN in enumerate(distances_NPN):
        sorted_PK = np.sort(np.delete(distances_PN, i, axis=1), axis=1)
        chance_K = np.diff(1 - (1 - np.arange(others + 1) / others) ** others)
        kept_K = chance_K * (np.arange(others) < 2)
        first_two = sorted_PK[:, :2] @ np.array([1, 1 / 2]) / 1.5
        scores = (sorted_PK @ kept_K / kept_K.sum(), sorted_PK[:, 0], first_two)
        for depth, scores_P in enumerate(scores):
            for top in (2, 5):
                count = math.ceil(len(scores_P) * top / 100)
                views[depth, top].append(np.sort(scores_P)[-count:].mean())
    deviations = []
    for values in views.values():
        centre = np.median(values)
        below = [centre - value for value in values if value <= centre]
        deviations.append((np.array(values) - centre) / (1.4826 * np.median(below)))
    np.testing.assert_allclose(ranking.scores_N, np.max(deviations, axis=0), rtol=1e-4, atol=1e-4)


def test_subfolders_are_ranked_apart_and_small_ones_are_refused(folder, tmp_path):
    for category in ("left", "right"):
        for name in find_images(folder)[:9]:
            place = tmp_path / "images" / category / Path(name).name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, place)
    apart = RankingSettings(encoder=ENCODER)
    arguments = {"settings": apart, "cache": tmp_path / "cache", "compute": InProcess()}
    found = rank(tmp_path / "images", **arguments)
    assert set(found.categories_N) == {"left", "right"}
    assert list(found.table()) == ["rank", "category", "image", "score"]
    for category in ("left", "right"):
        own = [i for i, name in enumerate(found.categories_N) if name == category]
        assert all(found.categories_N[found.nearest_N[i]] == category for i in own)
        alone = rank(tmp_path / "images" / category, **arguments)
        np.testing.assert_allclose(found.scores_N[own], alone.scores_N)
    (tmp_path / "images" / "left" / Path(find_images(folder)[0]).name).unlink()
    (tmp_path / "images" / "left" / Path(find_images(folder)[1]).name).unlink()
    with pytest.raises(InputError, match="--together"):
        rank(tmp_path / "images", **arguments)


def test_a_copy_of_an_image_is_as_suspicious_as_the_image(folder, ranking, tmp_path):
    shutil.copytree(folder, tmp_path / "images")
    first = ranking.images[0]
    for copy in ("copy1", "copy2"):
        shutil.copy(folder / first, tmp_path / "images" / f"{copy}.png")
    with_copies = rank(
        tmp_path / "images", settings=TOGETHER, cache=tmp_path / "cache", compute=InProcess()
    )
    assert set(with_copies.images[:3]) == {first, "copy1.png", "copy2.png"}
    np.testing.assert_array_equal(with_copies.scores_N[:3], ranking.scores_N[0])


def test_tiles_find_a_defect_that_is_smaller_than_a_patch(tmp_path):
    """A black dot of 8 pixels in one of twelve noisy images of 512 pixels."""
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(100, 156, (512, 512)).astype(np.uint8)
        if number == 7:
            pixels[300:308, 200:208] = 0
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    found = {}
    for tiles in (1, 4):
        settings = RankingSettings(encoder=ENCODER, tiles=tiles)
        arguments = {"cache": tmp_path / "cache", "compute": InProcess()}
        found[tiles] = rank(tmp_path / "images", settings=settings, **arguments)
    assert found[4].images[0] == "7.png"
    assert found[4].scores_N[0] > found[1].scores_N[list(found[1].images).index("7.png")]
    peak = np.unravel_index(found[4].maps_NSS[0].argmax(), (128, 128))
    np.testing.assert_allclose(peak, (304 / 4, 204 / 4), atol=4)


def test_names_and_places_of_images_do_not_matter(folder, ranking, tmp_path):
    renamed = tmp_path / "other"
    renamed.mkdir()
    names = {}
    for number, name in enumerate(reversed(ranking.images)):
        names[f"{number}.png"] = name
        shutil.copy(folder / name, renamed / f"{number}.png")
    again = rank(renamed, settings=TOGETHER, cache=tmp_path / "cache", compute=InProcess())
    np.testing.assert_array_equal(again.scores_N, ranking.scores_N)
    assert [names[name] for name in again.images] == list(ranking.images)


def test_copies_of_one_image_are_refused(folder, tmp_path):
    for number in range(LEAST):
        shutil.copy(folder / find_images(folder)[0], tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="copies of one image"):
        rank(tmp_path, settings=TOGETHER, cache=tmp_path / "cache", compute=InProcess())


def test_what_cannot_be_done_is_said(folder, tmp_path):
    names = find_images(folder)
    with pytest.raises(InputError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="contains no images"):
        find_images(tmp_path)
    with pytest.raises(InputError, match="made for another folder"):
        clean(folder, ["z.png"], tmp_path / "clean")
    with pytest.raises(InputError, match="exists already"):
        clean(folder, names[:1], tmp_path)
    (tmp_path / "list.csv").write_text("file\na.png\n")
    with pytest.raises(InputError, match="column 'image'"):
        read_image_list(tmp_path / "list.csv")
    few = Ranking(folder, tuple(names), np.zeros(len(names)), np.zeros((len(names), 2, 2)))
    with pytest.raises(InputError, match="not an image of"):
        quality(few, ["z.png"])
    assert not (tmp_path / "clean").exists()


def test_a_study_measures_the_ranking_of_every_categorys_training_images(small):
    plain = MemoryDetector(memory=MemoryEnsemble(ratio=0.1))
    with_ranking = Evaluation(size=64, ranking=True)
    noisy = small.experiment(plain, noise=Noise(ratio=0.25), evaluation=with_ranking)
    split = contaminate(small.prepared.samples, noisy.noise)
    images = small.prepared.images(split.train)
    suspicion_N = robust_max(plain.fit(images, seed=0, compute=InProcess()).score(images))
    result = run_prepared(noisy, small.prepared, data=small.data, compute=InProcess())
    found = result.metrics.query("readout == 'training'").pivot(
        index="category", columns="metric", values="value"
    )
    assert set(found.columns) == {AUPRC, DEPTH}
    for category in ("brick", "grass", "gravel"):
        own = (split.train["category"] == category).to_numpy()
        order = np.argsort(-suspicion_N[own], kind="stable")
        depth = (np.flatnonzero(split.injected_N[own][order]).max() + 1) / own.sum()
        assert found.loc[category, DEPTH] == pytest.approx(depth)
        expected = average_precision_score(split.injected_N[own], suspicion_N[own])
        assert found.loc[category, AUPRC] == pytest.approx(expected)
    assert found.loc["mean", DEPTH] == pytest.approx(found[DEPTH].drop("mean").mean())


def test_without_injected_images_there_is_no_ranking_to_measure(small):
    clean = small.experiment(MemoryDetector(), evaluation=Evaluation(size=64, ranking=True))
    result = run_prepared(clean, small.prepared, data=small.data, compute=InProcess())
    assert set(result.metrics["readout"]) == {"all", "defect"}


def test_a_list_that_a_spreadsheet_saved_is_read(tmp_path):
    """With a mark before the first byte and Windows' ends of lines."""
    (tmp_path / "list.csv").write_bytes("\ufeffimage,note\r\nbrück/1.png,a\r\n".encode())
    assert read_image_list(tmp_path / "list.csv") == ["brück/1.png"]


def test_a_mistyped_list_of_known_images_is_refused_before_anything_is_trained(folder, tmp_path):
    (tmp_path / "known.csv").write_text("image\nz.png\n")
    places = [f"--{name}={tmp_path / name}" for name in ("out", "cache")]
    answer = command(
        "harness", "rank", str(folder), f"--contaminated={tmp_path / 'known.csv'}", *places
    )
    assert answer.returncode == 1
    assert "z.png is listed, but is not an image of" in " ".join(answer.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["known.csv"]


def test_names_like_formulas_are_no_formulas_and_come_back(folder, tmp_path):
    """Spreadsheets run cells that start with one of these characters."""
    for name in ("=1+1.png", "+a.png", "-b/c.png", "@d.png"):
        place = tmp_path / "images" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / find_images(folder)[0], place)
    names = [
        file.relative_to(tmp_path / "images").as_posix()
        for file in images_below(tmp_path / "images")
    ]
    table = Ranking(tmp_path / "images", tuple(names), np.zeros(4), np.zeros((4, 2, 2))).table()
    assert table["image"].str.startswith("./").all()
    table.to_csv(tmp_path / "ranking.csv", index=False)
    assert read_image_list(tmp_path / "ranking.csv") == names


def test_deep_images_are_ranked_by_what_a_person_sees(folder, ranking, tmp_path):
    """Twelve bits of sixteen, in grey as the originals are: scores and thumbnails stay."""
    for name in ranking.images:
        place = tmp_path / "deep" / Path(name).with_suffix(".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        grey = np.asarray(Image.open(folder / name).convert("L"))
        Image.fromarray(np.rint(grey / 255 * 4095).astype(np.uint16)).save(place)
    deep = rank(tmp_path / "deep", settings=TOGETHER, cache=tmp_path / "cache", compute=InProcess())
    assert set(deep.whites_N) == {4095}
    for name in deep.images:
        seen = read_rgb(source(deep.folder / name, 4095))
        np.testing.assert_array_equal(np.asarray(seen), np.asarray(read_rgb(folder / name)))
