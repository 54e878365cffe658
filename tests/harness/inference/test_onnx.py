"""Exported detectors: the numbers of Python for any number of images, a model card, and one paragraph for the rest."""

import dataclasses
import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from baselines.fun_ad.detector import FunAD
from baselines.patch_bank.banks import Bank, BankScorer
from baselines.patchcore import PatchCore
from baselines.reverse_distillation import ReverseDistillation, ReverseStudent
from baselines.softpatch import SoftPatch
from baselines.student_teacher.graph import StudentGraph
from baselines.student_teacher.pixels import read_pixels
from baselines.uniad import UniAD, UniADTransformer
from harness.anomaly_maps import DINOMALY, INREACH, PATCHCORE, MapSettings, anomaly_maps
from harness.detectors import MeDS, ReconstructionDetector
from harness.errors import InputError
from harness.features import CategoryImages, FeatureStore, ImageSet
from harness.features.encoder import Encoder
from harness.features.encoding import Encoded
from harness.features.patch_features import LocallyAware
from harness.features.tensors import FeatureTensors
from harness.inference import FittedDetector, Threshold
from harness.inference import onnx_export as module
from harness.inference.graph import MapGraph
from harness.inference.onnx_export import detector_graph, difference, export_onnx
from harness.inference.saved import save
from harness.memory import MemoryEnsemble
from harness.networks import FeatureShapes
from harness.networks.dinomaly import Dinomaly
from harness.networks.hvq import Hvq
from harness.networks.inp_former import InpFormer
from harness.runtime.compute import InProcess
from harness.training.optimizer import TrainingConfig
from tests.support.commands import command

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CNN = Encoder(
    name="test_efficientnet", weights="random", image_size=64, groups=((2,), (3,)), pixels=True
)
VIT = Encoder(name="test_vit", weights="random", image_size=180, crop_size=160, groups=((0,), (1,)))
PATCHES = replace(CNN, memory=LocallyAware(modules=("blocks.1", "blocks.2"), dimensions=32))
PIXELS = replace(CNN, image_size=96, features=False)
TRAINING = TrainingConfig(steps=8)
DINOMALY_NET = Dinomaly(width=16, depth=2, heads=2)
STUDENT = EfficientAD(teacher="random", image_size=96, width=16, steps=4)
UNIAD = UniADTransformer(width=16, depth=2, heads=2, hidden=16, window=3)
HVQ = Hvq(width=16, depth=2, heads=2, hidden=16, codes=8)


def networks(network):
    return ReconstructionDetector(network=network, training=TRAINING)


def meds():
    return MeDS(
        network=DINOMALY_NET,
        memory=MemoryEnsemble(ratio=0.5),
        distillation=TRAINING,
        finetuning=TRAINING,
    )


SHIPPED = "meds on the shipped encoder"
METHODS = {
    "dinomaly": (networks(DINOMALY_NET), CNN),
    "dinomaly on a cropping transformer": (networks(DINOMALY_NET), VIT),
    "meds": (meds(), CNN),
    SHIPPED: (meds(), Encoder()),
    "patchcore": (PatchCore(coreset_ratio=0.01), PATCHES),
    "efficient_ad": (STUDENT, PIXELS),
    "inp_former": (networks(InpFormer(width=16, depth=2, heads=2)), VIT),
    "hvq": (networks(HVQ), CNN),
    "uniad": (UniAD(network=UNIAD, training=TRAINING), CNN),
    "reverse_distillation": (
        ReverseDistillation(network=ReverseStudent(bottleneck=1, stages=(1, 1)), training=TRAINING),
        CNN,
    ),
    "patchcore with weights": (PatchCore(coreset_ratio=0.2, neighbours=3, reweight=4), CNN),
    "squared softpatch": (SoftPatch(coreset_ratio=0.2, lof_k=2), CNN),
    "fun_ad": (FunAD(epochs=2), CNN),
    "ad2 at another size": (AD2(student=replace(STUDENT, image_size=64)), PIXELS),
}
FILES = ("meds", "patchcore", "efficient_ad")
"""Methods whose file is written in a fast test."""
MORE_FILES = (
    SHIPPED,
    "dinomaly",
    "dinomaly on a cropping transformer",
    "inp_former",
    "hvq",
    "uniad",
)
"""Methods whose file is written in a slow test; the other graphs have no operators of their own."""
THRESHOLD = Threshold("highest", 0.5, "The highest score of the training images.")


def drawn(count, size, seed):
    """Images of smooth colours, not those of the check during the export."""
    rng = np.random.default_rng(seed)
    low = torch.from_numpy(rng.uniform(0, 255, (count, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(low, size=(size, size), mode="bicubic")
    return list(smooth.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A function that fits a method by its name in METHODS, once."""
    root = tmp_path_factory.mktemp("fitted")
    files = []
    for number, image in enumerate(drawn(6, 128, 1)):
        files.append((str(number), root / f"{number}.png"))
        Image.fromarray(image).save(files[-1][1])

    @functools.cache
    def fit(name):
        detector, encoder = METHODS[name]
        store = FeatureStore(root / "features")
        features = store.fill(encoder, {"a": files}, compute=InProcess())["a"]
        images = ImageSet((CategoryImages(features, np.arange(len(files))),))
        scorer = detector.fit(images, seed=0, compute=InProcess())
        return FittedDetector(detector, encoder, scorer, detector.maps, 48, (THRESHOLD,))

    return fit


@pytest.fixture(scope="module")
def exported(fitted, tmp_path_factory):
    """A function that exports a method by its name in METHODS, once, and returns the file."""
    root = tmp_path_factory.mktemp("exported")

    @functools.cache
    def export(name):
        file = root / f"{name}.onnx"
        assert export_onnx(fitted(name), file) <= 1e-4
        return file

    return export


@pytest.mark.parametrize("name", [name for name in METHODS if name != SHIPPED])  # it takes seconds
@pytest.mark.parametrize("count", [1, 3])
def test_the_module_of_a_detector_has_the_numbers_of_python(fitted, name, count):
    own = fitted(name)
    images = drawn(count, own.encoder.image_size, 2)
    with torch.no_grad():
        maps, scores = detector_graph(own)(torch.from_numpy(np.stack(images)))
    for image, map_HW, score in zip(images, maps, scores, strict=True):
        expected = own.predict(image, threshold=0.0)
        close = {"rtol": 1e-4, "atol": 1e-4}
        np.testing.assert_allclose(map_HW.numpy(), expected.map_HW, **close)
        np.testing.assert_allclose(score.item(), expected.score, **close)


@pytest.mark.parametrize(("length", "size"), [(96, 64), (128, 64), (100, 64), (64, 96), (33, 64)])
def test_a_student_sees_the_images_of_python_at_every_size(length, size):
    encoded = Encoded(np.zeros((2, 1, 1)), (), None, np.stack(drawn(2, length, 4)))
    (category,) = ImageSet.held(encoded).categories
    expected = read_pixels(category, np.arange(2), size)
    pixels = torch.from_numpy(encoded.pixels_NHWC).permute(0, 3, 1, 2)
    features = FeatureTensors(torch.zeros(2, 1, 1), (), None, pixels)
    graph = StudentGraph(torch.nn.Identity(), size)
    graph.network.scores = graph.network.forward
    torch.testing.assert_close(graph(features), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "name", [*FILES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_FILES)]
)
def test_a_file_has_the_numbers_of_python_for_any_number_of_images(fitted, exported, name):
    own = fitted(name)
    for count in (1, 3):
        assert difference(exported(name), own, drawn(count, own.encoder.image_size, 3)) <= 1e-4


def test_a_file_is_its_own_model_card(fitted, exported):
    own, model = fitted("patchcore"), onnx.load(exported("patchcore"))
    onnx.checker.check_model(model, full_check=True)
    card = {each.key: each.value for each in model.metadata_props}
    assert (card["detector"], card["detector_title"]) == ("patchcore", "PatchCore")
    assert json.loads(card["thresholds"]) == [dataclasses.asdict(THRESHOLD)]
    assert "64 x 64" in card["preparation"]
    assert {"meds-bench", "torch", "timm", "onnx"} == set(json.loads(card["versions"]))
    assert model.producer_version == json.loads(card["versions"])["meds-bench"]
    described = {each.name: each.doc_string for each in (*model.graph.input, *model.graph.output)}
    assert described == {name: card[name] for name in ("image", "map", "score")}
    session = onnxruntime.InferenceSession(exported("patchcore"))
    (image,) = session.get_inputs()
    assert (image.shape, image.type) == (["batch", 64, 64, 3], "tensor(uint8)")
    assert [each.shape for each in session.get_outputs()] == [["batch", 48, 48], ["batch"]]
    assert own.size == 48


def test_features_are_rounded_in_the_file_as_in_the_store(exported):
    model = onnx.load(exported("patchcore"))
    casts = [node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"]
    assert onnx.TensorProto.FLOAT16 in casts


@pytest.mark.parametrize(
    "rule",
    [
        DINOMALY,
        PATCHCORE,
        INREACH,
        MapSettings(radius=0, image="window"),
        MapSettings(upsampling="direct", top_percent=10),
        MapSettings(upsampling="direct", top_percent=1e-9),
        MapSettings(image="top_patches", top_percent=10),
    ],
)
@pytest.mark.parametrize("size", [8, 48])
def test_maps_and_image_scores_follow_every_rule(rule, size):
    scores_NP = np.random.default_rng(0).gamma(1, size=(3, 36)).astype(np.float32)
    maps = anomaly_maps(scores_NP, input_size=40, size=size, rule=rule)
    graph = MapGraph(rule, patches=36, input_size=40, size=size)
    found_maps, found_scores = graph(torch.from_numpy(scores_NP))
    np.testing.assert_allclose(found_maps, maps, atol=1e-5)
    np.testing.assert_allclose(found_scores, rule.image_scores(scores_NP, maps), atol=1e-5)


def test_what_cannot_be_exported_is_said_in_one_paragraph_and_leaves_no_file(bricks, tmp_path):
    with pytest.raises(InputError, match="compares an image with all training images"):
        export_onnx(bricks.fitted, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (BankScorer(banks=(Bank(np.ones((2, 3)), prepare=np.asarray),)), "cannot be exported"),
        (BankScorer(banks=(Bank(np.ones((2, 3))),) * 2), "fitted to 2 categories"),
        (BankScorer(banks=(Bank(np.broadcast_to(np.float32(0), (2**20, 257))),)), "coreset_ratio"),
    ],
)
def test_memory_banks_that_no_file_can_hold_are_refused(scorer, message):
    with pytest.raises(InputError, match=message):
        scorer.graph(FeatureShapes(channels=(3,), patches=4, categories=1))


def test_a_wrong_file_is_not_kept(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "difference", lambda *given: float("nan"))
    monkeypatch.setattr(module, "_program", lambda *given: onnx.ModelProto())
    with pytest.raises(InputError, match="differs from the Python scores"):
        export_onnx(fitted("fun_ad"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(module.util, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(InputError, match="needs onnx, which"):
        module.require_packages()


def test_the_command_converts_a_folder_once(fitted, tmp_path):
    save(fitted("fun_ad"), tmp_path / "detector", card="")
    file = tmp_path / "new" / "model.onnx"
    arguments = ("convert", str(tmp_path / "detector"), "--out", str(file))
    first, second = command("harness", *arguments), command("harness", *arguments)
    assert first.returncode == 0, first.stderr
    assert "onnxruntime differs from Python by" in first.stdout
    assert [each.name for each in file.parent.iterdir()] == ["model.onnx"]
    assert second.returncode == 1
    assert "exists already" in " ".join(second.stderr.split())


def test_the_command_refuses_before_it_works(bricks, tmp_path):
    wrong = command("harness", "convert", str(bricks.folder), "--out", str(tmp_path / "model"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    memory = command("harness", "convert", str(bricks.folder), "--out", str(tmp_path / "m.onnx"))
    assert memory.returncode == 1
    assert "--method patchcore" in " ".join(memory.stderr.split())
    assert list(tmp_path.iterdir()) == []
