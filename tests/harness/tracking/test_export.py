"""Results outside MLflow: exported, read and merged, they are the same numbers."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from harness.config.serialization import from_dict
from harness.errors import InputError
from harness.tracking import export as portable
from harness.tracking.exported import (
    EXPERIMENTS,
    MANIFEST,
    RESULTS,
    RUNS,
    lock_name,
    read_folder,
    read_results,
)
from tests.support.stored_study import stored

PLACE = ["key", "readout", "metric", "category"]


def sorted_values(frame):
    return frame.sort_values(PLACE, ignore_index=True)[[*PLACE, "value"]]


def test_an_exported_study_is_read_without_its_store(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the versions are those of this source tree, wherever it is called
    tracker, cells = stored(small, tmp_path, (0.1, 0.5), failing=1.0)
    folder = portable.export(tracker, "small", tmp_path / "out")
    pd.testing.assert_frame_equal(
        sorted_values(read_results(folder)), sorted_values(tracker.load("small"))
    )
    runs = pd.read_csv(folder / RUNS).set_index("key")
    assert list(runs["status"].value_counts()[["FINISHED", "FAILED"]]) == [2, 1]
    assert "no room" in runs.loc[cells[2].key, "failure"]
    assert runs.loc[cells[0].key, "machine"] == "two cores"
    records = json.loads((folder / EXPERIMENTS).read_text())
    assert {from_dict(record) for record in records.values()} == set(cells[:2])
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["data"] == [small.prepared.data_digest]
    assert set(manifest["splits"]) == {e.key for e in cells[:2]}
    assert len(set(manifest["splits"].values())) == 1  # both memories had the same training images
    assert manifest["made with"] == [
        {"runs": 2, "git": "abc", "machine": "two cores", "workers": "2"}
    ]
    ((lock, digest),) = manifest["locks"].items()
    content = (folder / lock).read_bytes()
    assert content == (Path(__file__).parents[3] / "requirements" / "lock.txt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    with pytest.raises(InputError, match="exists already"):
        portable.export(tracker, "small", folder)


@pytest.fixture(scope="module")
def pair(small, tmp_path_factory):
    """Two exported folders, made on two machines: 0.5 is in both, 1.0 failed on the first."""
    folders = []
    for name, ratios, failing in (("a", (0.1, 0.5), 1.0), ("b", (0.5, 1.0), None)):
        place = tmp_path_factory.mktemp(name)
        tracker, _ = stored(small, place, ratios, failing=failing, machine=name)
        folders.append(portable.export(tracker, "small", place / "out"))
    return folders


@pytest.fixture
def two(pair, tmp_path):
    """Copies of the pair, which a test may change."""
    return [
        shutil.copytree(folder, tmp_path / name / "out")
        for name, folder in zip("ab", pair, strict=True)
    ]


def test_folders_of_one_study_are_merged(two, tmp_path):
    with (two[1] / MANIFEST).open() as file:
        second = json.load(file)
    other = b"numpy==1.0\n"
    (two[1] / lock_name(other)).write_bytes(other)
    second["locks"][lock_name(other)] = hashlib.sha256(other).hexdigest()
    (two[1] / MANIFEST).write_text(json.dumps(second))
    folder = portable.merge(two, tmp_path / "merged").folder
    merged = read_results(folder)
    both = pd.concat([read_results(folder) for folder in two]).drop_duplicates(PLACE)
    pd.testing.assert_frame_equal(sorted_values(merged), sorted_values(both))
    assert merged["key"].nunique() == 3
    runs = pd.read_csv(folder / RUNS)
    assert set(runs["run_id"]) == set(merged["run_id"])  # what failed on one finished on the other
    manifest = json.loads((folder / MANIFEST).read_text())
    made_with = {made["machine"]: made["runs"] for made in manifest["made with"]}
    assert made_with == {"a": 2, "b": 1}
    assert len(manifest["locks"]) == 2
    assert (folder / lock_name(other)).read_bytes() == other
    with pytest.raises(InputError, match="is not an exported study"):
        read_results(tmp_path)


def test_other_numbers_are_refused_or_those_of_the_first_folder_kept(two, tmp_path):
    results = read_results(two[1])
    results.loc[results["metric"] == "image_auroc", "value"] += 0.25
    results.to_parquet(two[1] / RESULTS)
    with pytest.raises(
        InputError, match=r"image_auroc of \w+ \(\w+\) differs by 0.25.*--on-conflict first"
    ):
        portable.merge(two, tmp_path / "conflict")
    assert not (tmp_path / "conflict").exists()
    first, second = read_results(two[0]), read_results(two[1])
    merged = portable.merge(two, tmp_path / "merged", keep="first")
    new = second[~second["key"].isin(first["key"])]
    expected = sorted_values(pd.concat([first, new]))
    pd.testing.assert_frame_equal(sorted_values(read_results(merged.folder)), expected)
    assert (merged.differing, merged.largest) == (1, 0.25)
    manifest = json.loads((merged.folder / MANIFEST).read_text())
    assert manifest["differing"] == {"experiments": 1, "largest": 0.25, "kept": "first"}


def drop_a_metric(results):
    return results[results["metric"] != "image_auroc"]


def no_number(results):
    return results.assign(value=results["value"].where(results["metric"] != "image_auroc"))


def infinite(results):
    return results.assign(
        value=results["value"].mask(results["metric"] == "image_auroc", float("inf"))
    )


def another_setting(results):
    return results.assign(**{"noise.ratio": "0.7"})


def as_older_versions(results):
    """Without the title of the detector, and without the counts that were added later."""
    later = results["metric"].isin(portable.LATER_COUNTS)
    return results[~later].drop(columns="detector.title")


@pytest.mark.parametrize(
    ("change", "text", "differing"),
    [
        (drop_a_metric, "has no number for image_auroc", 1),
        # Both experiments of the folder then hold a value that is no number, not only the shared one.
        (no_number, "has no number for image_auroc", 2),
        (infinite, "has no number for image_auroc", 2),
        (another_setting, r"its setting noise\.ratio differs", 1),
    ],
)
@pytest.mark.parametrize("changed", [0, 1])
def test_what_one_folder_lacks_is_a_difference(two, tmp_path, change, text, differing, changed):
    file = two[changed] / RESULTS
    change(read_results(two[changed])).to_parquet(file)
    with pytest.raises(InputError, match=text):
        portable.merge(two, tmp_path / "refused")
    merged = portable.merge(two, tmp_path / "merged", keep="first")
    assert merged.differing == differing
    json.loads((merged.folder / MANIFEST).read_text(), parse_constant=pytest.fail)


def test_folders_of_older_versions_merge_with_those_of_this_one(two, tmp_path):
    as_older_versions(read_results(two[0])).to_parquet(two[0] / RESULTS)
    assert portable.merge(two, tmp_path / "merged").differing == 0


def test_a_value_that_is_no_number_in_both_folders_is_not_an_agreement(two, tmp_path):
    for folder in two:
        no_number(read_results(folder)).to_parquet(folder / RESULTS)
    with pytest.raises(InputError, match="has no number for image_auroc"):
        portable.merge(two, tmp_path / "refused")


def test_runs_without_their_injected_images_are_refused(two, tmp_path):
    """Older versions injected nothing into categories of MVTec AD that no published list names."""
    old = as_older_versions(read_results(two[1]))
    old = old.assign(**{"dataset": "MVTecAD", "noise.ratio": "0.1", "noise.protocol": "meds"})
    old.to_parquet(two[1] / RESULTS)
    with pytest.raises(InputError, match="injected no image into"):
        portable.merge(two, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("name", [RESULTS, RUNS, EXPERIMENTS, MANIFEST])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"[" * 100_000, b"[]", b'"a",b\n"'])
def test_a_missing_or_damaged_file_is_refused_in_a_paragraph(two, tmp_path, name, content):
    (two[0] / name).unlink()
    if content is not None:
        (two[0] / name).write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", "[.]")):
        portable.merge(two, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("name", [RESULTS, RUNS, EXPERIMENTS, MANIFEST])
def test_a_link_in_the_place_of_a_file_is_refused(two, tmp_path, name):
    (two[0] / name).rename(tmp_path / name)
    (two[0] / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="it is a link"):
        read_folder(two[0])


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "/etc/hostname",
        "a/b.txt",
        "C:x.txt",
        "results.parquet",
        "lock-x.txt",
        "",
        "..",
    ],
)
def test_a_manifest_cannot_name_a_file_elsewhere(two, tmp_path, name):
    secret = b"secret"
    (two[0].parent / "secret.txt").write_bytes(secret)
    manifest = json.loads((two[0] / MANIFEST).read_text())
    manifest["locks"] = {name: hashlib.sha256(secret).hexdigest()}
    (two[0] / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="not the name of a list of packages"):
        portable.merge(two, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_digest_cannot_be_a_path_either(two):
    manifest = json.loads((two[0] / MANIFEST).read_text())
    manifest["locks"] = {"lock-../../hosts.txt": "../../hosts"}
    (two[0] / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="not the name of a list of packages"):
        read_folder(two[0])


def test_the_export_of_an_older_version_is_read():
    folder = Path(__file__).parents[2] / "data" / "export-87b34bb"
    assert len(read_folder(folder).locks) == 1
