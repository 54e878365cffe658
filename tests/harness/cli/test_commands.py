"""The command as its user types it: bad input gets one paragraph and an exit code, and leaves nothing behind."""

import json
import subprocess

import pytest

from tests.support import layouts as trees
from tests.support.commands import ROOT, command, refused
from tests.support.strange_files import mvtec_layout


@pytest.fixture
def tiles(tmp_path):
    """A small folder in the layout of magnetic tiles that a study could run on."""
    return trees.magnetic_tile(tmp_path / "tiles")


def test_a_profile_without_data_says_how_to_give_it(tmp_path):
    text = refused(tmp_path, "--profile", "mtd")
    assert "magnetic_tile" in text
    assert "make sweep-rho PROFILE=mtd DATA=folder" in text


def test_a_missing_data_root_says_where_it_looked_and_where_to_get_the_data(tmp_path):
    text = refused(tmp_path, "--profile", "mtd", "--data", str(tmp_path / "nowhere"))
    assert str(tmp_path / "nowhere") in text
    assert "github.com/abin24/Magnetic-tile-defect-datasets" in text


def test_an_empty_category_is_named(tmp_path, tiles):
    for name in ("exp9_num_1", "exp9_num_2"):
        (tiles / "MT_Free" / "Imgs" / f"{name}.jpg").unlink()
    text = refused(tmp_path, "--profile", "mtd", "--data", str(tiles))
    assert "Category 'magnetic_tile'" in text
    assert "has no normal training images. Add images" in text


def test_an_unreadable_image_is_named(tmp_path, tiles):
    (tiles / "MT_Crack" / "Imgs" / "exp1_num_7.jpg").write_text("not a picture")
    text = refused(tmp_path, "--profile", "mtd", "--data", str(tiles))
    assert "MT_Crack/Imgs/exp1_num_7.jpg cannot be read as an image" in text
    assert "Restore the file" in text


def test_a_mask_of_another_size_is_named(tmp_path, tiles):
    trees.write(tiles / "MT_Crack" / "Imgs" / "exp1_num_7.png", size=(5, 5))
    text = refused(tmp_path, "--profile", "mtd", "--data", str(tiles))
    assert "MT_Crack/Imgs/exp1_num_7.png is 5 x 5 pixels" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--rho", "0"), "rho (the memory's ratio) must lie in (0, 1], got 0"),
        (("--noise", "1.5"), "noise ratio must lie in [0, 1), got 1.5"),
    ],
)
def test_values_outside_their_range_are_refused(tmp_path, arguments, text):
    assert text in refused(tmp_path, *arguments)


def test_an_unknown_profile_or_study_is_a_usage_error_that_lists_what_there_is(tmp_path):
    text = refused(tmp_path, "--profile", "desktop", code=2)
    assert (
        "There is no profile 'desktop'. Profiles: laptop, smoke, folder, mtd, mvtec_ad, visa, real_iad, loco."
        in text
    )
    answer = command("sweeps", "rhombus")
    assert answer.returncode == 2
    assert "There is no study 'rhombus'. Studies: ablation, ablation_inp_former," in answer.stderr
    answer = command("sweeps", "rho", "--rho", "much")
    assert answer.returncode == 2


def test_drawing_what_was_never_run_says_what_to_run(tmp_path):
    answer = command("reports", "rho", "--runs", str(tmp_path / "runs"))
    assert answer.returncode == 1
    assert "Run it: make sweep-rho PROFILE=laptop" in " ".join(answer.stderr.split())
    assert not list(tmp_path.rglob("*.html"))


def test_an_unknown_report_is_a_usage_error_that_lists_studies_and_numbers():
    answer = command("reports", "figure-9")
    assert answer.returncode == 2
    text = " ".join(answer.stderr.split())
    assert "There is no report 'figure-9'. Reports by study: ablation," in text
    assert "figure-2, figure-3" in text
    assert "table-30" in text


def test_the_makefile_lists_its_verbs():
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for verb in ("sweep-%", "figure-% table-%", "figures", "test", "install"):
        assert verb in listed


def test_check_prints_a_table_and_warnings_for_sound_data(tmp_path, tiles):
    answer = command(
        "harness",
        "check",
        "magnetic_tile",
        "--data",
        str(tiles),
        "--cache",
        str(tmp_path / "cache"),
    )
    assert answer.returncode == 0, answer.stderr
    assert "| magnetic_tile |" in answer.stdout
    assert "8 x 6" in answer.stdout
    assert "warning: 1 defective images have an empty mask" in answer.stdout
    assert answer.stdout.strip().endswith("warnings.")
    assert "A run would work." in answer.stdout


def test_check_fails_on_data_that_a_run_would_fail_on(tmp_path, tiles):
    (tiles / "MT_Crack" / "Imgs" / "exp1_num_7.jpg").write_text("not a picture")
    arguments = (
        "harness",
        "check",
        "magnetic_tile",
        "--data",
        str(tiles),
        "--cache",
        str(tmp_path / "cache"),
    )
    answer = command(*arguments)
    assert answer.returncode == 1
    assert "ERROR" in answer.stdout
    assert "1 errors: a run would fail." in answer.stdout
    for_machines = command(*arguments, "--json")
    assert for_machines.returncode == 1
    found = json.loads(for_machines.stdout)
    assert found["would_fail"] is True
    assert ["MT_Crack/Imgs/exp1_num_7.jpg"] in [finding["files"] for finding in found["findings"]]


def test_check_reads_the_selected_categories_only(tmp_path):
    data = mvtec_layout(tmp_path / "data", "bolt")
    mvtec_layout(data, "broken")
    next((data / "broken").rglob("*.png")).write_text("not a picture")
    arguments = ("harness", "check", "mvtec_ad", "--data", str(data), "--cache", str(tmp_path))
    assert command(*arguments).returncode == 1
    answer = command(*arguments, "--category", "bolt")
    assert answer.returncode == 0, answer.stdout
    assert "broken" not in answer.stdout
    answer = command(*arguments, "--category", "nut")
    assert answer.returncode == 1
    assert "nut" in answer.stderr + answer.stdout


def test_check_says_where_categories_cannot_be_selected(tiles):
    arguments = ("harness", "check", "magnetic_tile", "--data", str(tiles), "--category", "crack")
    answer = command(*arguments)
    assert answer.returncode == 1
    text = " ".join(answer.stderr.split())
    assert "The categories of magnetic_tile cannot be selected. Leave out --category." in text


def test_check_knows_its_datasets(tmp_path):
    answer = command("harness", "check", "mvtec", "--data", str(tmp_path))
    assert answer.returncode == 2
    text = " ".join(answer.stderr.split())
    assert (
        "There is no dataset 'mvtec'. Datasets: btad, folder, magnetic_tile, mpdd, mvtec_ad" in text
    )
    answer = command("harness", "check", "mvtec_ad", "--data", str(tmp_path / "nowhere"))
    assert answer.returncode == 1
    assert "there is no such folder" in " ".join(answer.stderr.split())
