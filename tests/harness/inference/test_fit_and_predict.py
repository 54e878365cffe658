"""Commands `fit` and `predict`, from a folder of images to scores of new ones."""

import csv
import re

import numpy as np
import pytest

from harness.cli.fit import Fit
from harness.cli.predict import Predict
from harness.errors import InputError, UsageError
from harness.inference import load


def rows(out):
    with (out / "scores.csv").open(encoding="utf-8", newline="") as content:
        return list(csv.DictReader(content))


def test_a_folder_becomes_a_detector_that_scores_new_images(bricks, tmp_path, capsys):
    (tmp_path / "remove.csv").write_text("image\n0.png\n")
    more = tmp_path / "images"
    more.mkdir()
    for file in (*bricks.train.iterdir(), *bricks.new.iterdir()):
        (more / f"{file.parent.name}-{file.name}").symlink_to(file)
    (tmp_path / "remove.csv").write_text("image\nnew-0.png\n")
    options = {"cache": tmp_path / "cache", "image_size": 128, "remove": tmp_path / "remove.csv"}
    assert Fit(folder=more, out=tmp_path / "detector", **options).run() == 0
    fitted = load(tmp_path / "detector")
    assert fitted.about["images"] == len(list(more.iterdir())) - 1
    assert fitted.about["removed"] == 1
    assert Predict(detector=tmp_path / "detector", images=more, out=tmp_path / "results").run() == 0
    found = rows(tmp_path / "results")
    assert [row["image"] for row in found] == sorted(
        (file.name for file in more.iterdir()), key=lambda n: (n[:3], int(re.sub(r"\D", "", n)))
    )
    for row in found[:3]:
        prediction = fitted.predict(more / row["image"])
        assert float(row["score"]) == pytest.approx(prediction.score, abs=1e-6)
        assert (row["decision"] == "anomalous") == prediction.is_anomalous
        stored = np.load(tmp_path / "results" / "maps" / f"{row['image']}.npy", allow_pickle=False)
        np.testing.assert_allclose(stored, prediction.map_HW, atol=1e-6)
    page = (tmp_path / "results" / "results.html").read_text()
    assert page.count("<figure") == len(found)
    assert "http" not in page
    assert "loading the method: 0 of 1" in capsys.readouterr().err


def test_one_image_and_a_list_are_scored(bricks, tmp_path):
    first, second, *_ = sorted(file.name for file in bricks.new.iterdir())
    listed = bricks.new.parent / "list.csv"
    listed.write_text(f"image\nnew/{second}\nnew/{first}\n")
    for images, expected in (
        (bricks.new / first, [first]),
        (listed, [f"new/{second}", f"new/{first}"]),
    ):
        out = tmp_path / f"{len(expected)}"
        Predict(detector=bricks.folder, images=images, out=out, threshold="0.01").run()
        assert [row["image"] for row in rows(out)] == expected
        assert {row["threshold"] for row in rows(out)} == {"0.01"}


def test_an_existing_folder_is_refused_before_any_work(bricks, tmp_path):
    for command in (
        Fit(folder=tmp_path / "none", out=tmp_path),
        Predict(detector=tmp_path / "none", images=tmp_path / "none", out=tmp_path),
    ):
        with pytest.raises(InputError, match="exists already"):
            command.run()


def test_bad_images_end_without_results(bricks, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text\.png"):
        Predict(detector=bricks.folder, images=tmp_path / "images", out=tmp_path / "out").run()
    elsewhere = (f"../{tmp_path.name}/images/text.png", str(tmp_path / "images" / "text.png"))
    for name in ("none.png", *elsewhere):
        (tmp_path / "list.csv").write_text(f"image\n{name}\n")
        with pytest.raises(
            InputError, match=rf"lists {re.escape(name)}, but there is no such file"
        ):
            Predict(
                detector=bricks.folder, images=tmp_path / "list.csv", out=tmp_path / "out"
            ).run()
    with pytest.raises(InputError, match="does not exist"):
        Predict(detector=bricks.folder, images=tmp_path / "none", out=tmp_path / "out").run()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["images", "list.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "nothing"}, "no method 'nothing'"),
        ({"steps": 0}, "at least 1"),
        ({"steps": 5}, "not trained in steps"),
        ({"encoder": "nothing"}, "no model 'nothing'"),
    ],
)
def test_unknown_names_and_wrong_numbers_end_with_code_2(bricks, tmp_path, options, message):
    command = Fit(folder=bricks.train, out=tmp_path / "out", cache=tmp_path / "cache", **options)
    with pytest.raises(UsageError, match=message):
        command.run()
    assert list(tmp_path.iterdir()) == []
