"""The folder of a detector: complete or absent, without code in it, and refused when it was changed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from harness.errors import InputError
from harness.features.backbone import load_model
from harness.inference import load
from harness.inference.saved import save

FILES = {"detector.json", "arrays.safetensors", "encoder.safetensors", "README.md", "MLmodel"}


@pytest.fixture
def copy(bricks, tmp_path):
    return shutil.copytree(bricks.folder, tmp_path / "copy")


def changed(folder, **values):
    file = folder / "detector.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_folder_holds_no_pickle_and_is_read_without_torch_load(bricks, copy, monkeypatch):
    assert {file.name for file in bricks.folder.iterdir()} == FILES
    assert all(
        file.read_bytes()[:2] not in (b"PK", b"\x80\x02") for file in bricks.folder.iterdir()
    )
    image = next(bricks.new.iterdir())
    expected = bricks.fitted.predict(image)
    load_model.cache_clear()
    monkeypatch.setattr(torch, "load", None)
    assert load(copy).predict(image) == expected


def test_a_loaded_detector_imports_neither_ray_nor_mlflow(bricks):
    code = (
        "import sys; from harness.inference import load; "
        f"print(load({str(bricks.folder)!r}).predict({str(next(bricks.new.iterdir()))!r}).score); "
        "print(sorted({'ray', 'mlflow', 'sweeps'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    score, imported = done.stdout.split("\n")[:2]
    assert float(score) > 0
    assert imported == "[]"


def test_what_is_saved_again_is_equal(bricks, tmp_path):
    save(load(bricks.folder), tmp_path / "again", card="")
    for name in ("arrays.safetensors", "encoder.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (bricks.folder / name).read_bytes()


def test_a_failure_leaves_no_folder(bricks, tmp_path):
    with pytest.raises(TypeError):
        save(bricks.fitted, tmp_path / "out", card=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["arrays.safetensors", "encoder.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_changed_file_is_refused(copy, name, damage):
    if damage == "missing":
        (copy / name).unlink()
    else:
        content = bytearray((copy / name).read_bytes())
        content[-1] ^= 1
        (copy / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is missing or has changed"):
        load(copy)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "has the format 2"),
        ({"detector": {"class": "os.system"}}, "names a component 'os.system'"),
        ({"detector": {"class": "subprocess.Popen", "args": "true"}}, "names a component"),
        ({"detector": 3}, "holds no usable detector"),
        ({"thresholds": [{"name": 1}]}, "holds no usable detector"),
        ({"files": {"encoder.safetensors": "0"}}, "holds no usable detector"),
        ({"files": []}, "holds no usable detector"),
        (
            {"encoder": {"class": "harness.memory.ensemble.MemoryEnsemble"}},
            "holds no usable detector",
        ),
        ({"encoder_digest": "0"}, "has other weights here"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_paragraph(copy, values, message):
    changed(copy, **values)
    with pytest.raises(InputError, match=message):
        load(copy)


def test_no_file_outside_the_folder_is_read(copy):
    files = json.loads((copy / "detector.json").read_text())["files"]
    shutil.copy(copy / "arrays.safetensors", copy.parent)
    changed(copy, files=files | {"../arrays.safetensors": files["arrays.safetensors"]})
    with pytest.raises(InputError, match="missing or has changed"):
        load(copy)


@pytest.mark.parametrize("content", ["", "[]", "{", "3", '{"format": 1}', "[" * 100_000])
def test_a_damaged_record_is_refused(copy, content):
    (copy / "detector.json").write_text(content)
    with pytest.raises(InputError, match=r"Fit the detector again|fit again"):
        load(copy)


def test_another_folder_is_no_detector(tmp_path):
    with pytest.raises(InputError, match="is no fitted detector"):
        load(tmp_path)


def test_the_card_names_data_settings_and_thresholds(bricks):
    card = (bricks.folder / "README.md").read_text()
    assert "trained on 8 images" in card
    assert "| detector.memory.ratio | 0.5 |" in card
    record = json.loads((bricks.folder / "detector.json").read_text())
    for threshold in record["thresholds"]:
        assert threshold["name"] in card
        assert np.isfinite(threshold["value"])
    assert "of the images are contaminated" in record["about"]["contamination"]
    assert record["about"]["contamination"] in card
