"""A folder of results that was moved or copied finds its results, and leaves the folder it came from alone."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from harness.tracking import Tracker
from harness.tracking.relocation import adopt_artifacts
from tests.support.commands import WARM, command
from tests.support.stored_study import stored

NOTICE = "was moved or copied from"
MARK = "writes-here.txt"


@pytest.fixture(scope="module")
def original(small, tmp_path_factory):
    """A study of two experiments in a folder of results whose name needs escapes in an address."""
    folder = tmp_path_factory.mktemp("project") / "my runs 100 %"
    folder.mkdir()
    stored(small, folder, (0.1, 0.5))
    return folder


@pytest.fixture
def place(original, tmp_path):
    """The study in a folder of its own, which a test may move."""
    shutil.copytree(original, tmp_path / "there" / original.name)
    adopt_artifacts(tmp_path / "there" / original.name / "mlflow.db")
    return tmp_path / "there" / original.name


def moved(place: Path, how: str) -> Path:
    here = place.parents[1] / "here" / "runs"
    here.parent.mkdir()
    return Path({"move": shutil.move, "copy": shutil.copytree}[how](place, here))


def state(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """What every file of a folder holds, and when it was written."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def exported(runs: Path, out: Path) -> tuple[pd.DataFrame, dict, str]:
    """Export the study as a user does; return its results, its training images and what the command said."""
    answer = command(
        "harness", "export", "test", "--profile", "small", "--runs", str(runs), "--out", str(out)
    )
    assert answer.returncode == 0, answer.stderr
    splits = json.loads((out / "manifest.json").read_text())["splits"]
    return pd.read_parquet(out / "results.parquet"), splits, answer.stderr


@pytest.fixture(scope="module")
def wanted(original, tmp_path_factory):
    """What the study exports where it was made."""
    return exported(original, tmp_path_factory.mktemp("before") / "out")


def write(runs: Path) -> None:
    """Write to an old run and to a new one, as a driver of the study does."""
    tracker = Tracker(f"sqlite:///{runs / 'mlflow.db'}", "test", (runs / "artifacts").as_uri())
    tracker.open_study("small", ["another key"], "another digest")
    client = MlflowClient(tracking_uri=tracker.uri)
    study = client.get_experiment_by_name("test").experiment_id
    old, new = client.search_runs([study])[0], client.create_run(study)
    for run in (old, new):
        client.log_text(run.info.run_id, str(runs), MARK)


@pytest.mark.parametrize("how", ["move", "copy"])
def test_the_results_are_found_and_everything_new_is_written_in_the_new_place(
    place, how, wanted, tmp_path, capsys
):
    results, splits, said = wanted
    assert NOTICE not in said
    here = moved(place, how)
    before = state(place)
    assert bool(before) == (how == "copy")

    again, same_splits, said = exported(here, tmp_path / "after")
    pd.testing.assert_frame_equal(again, results, check_exact=True)
    assert same_splits == splits
    assert " ".join(said.split()) == (
        f"{here} was moved or copied from {place}; its results are now kept in {here}/artifacts only."
    )
    capsys.readouterr()
    adopt_artifacts(here / "mlflow.db")
    assert capsys.readouterr().err == ""

    driver = WARM.Process(target=write, args=(here,))
    driver.start()
    driver.join()
    assert driver.exitcode == 0
    assert len(list(here.glob(f"artifacts/*/artifacts/{MARK}"))) == 2
    assert state(place) == before


def places(runs: Path) -> set[str]:
    """Every place of artifacts that a database names for the study and its runs."""
    with closing(sqlite3.connect(runs / "mlflow.db")) as connection:
        query = (
            "SELECT artifact_location FROM experiments WHERE name = 'test' "
            "UNION SELECT artifact_uri FROM runs"
        )
        return {row[0] for row in connection.execute(query)}


def test_a_link_to_the_folder_is_the_same_folder(place, tmp_path, capsys):
    (tmp_path / "link").symlink_to(place.parent)
    before = places(place)
    adopt_artifacts(tmp_path / "link" / place.name / "mlflow.db")
    assert places(place) == before
    assert capsys.readouterr().err == ""


def test_a_database_apart_from_its_artifacts_keeps_their_place(place, tmp_path, capsys):
    """As with MLFLOW_TRACKING_URI; beside the database may even be the artifacts of other studies."""
    (tmp_path / "databases" / "artifacts" / "another-run").mkdir(parents=True)
    shutil.move(place / "mlflow.db", tmp_path / "databases")
    before = places(tmp_path / "databases")
    adopt_artifacts(tmp_path / "databases" / "mlflow.db")
    assert places(tmp_path / "databases") == before
    assert capsys.readouterr().err == ""


def test_locks_of_the_former_place_are_never_opened(place):
    """Opening a lock changes its file; and whoever holds the original's lock does not run the copy's experiment."""
    lock = place / "claim.lock"
    with closing(sqlite3.connect(place / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE tags SET value = ? WHERE key = 'meds.lock'", (str(lock),))
    here = moved(place, "copy")
    adopt_artifacts(here / "mlflow.db")
    with closing(sqlite3.connect(here / "mlflow.db")) as connection:
        locks = connection.execute("SELECT value FROM tags WHERE key = 'meds.lock'").fetchall()
    assert len(locks) == 2
    assert set(locks) == {("",)}


def test_many_commands_at_once_correct_a_database_once(place):
    here = moved(place, "copy")
    processes = [WARM.Process(target=adopt_artifacts, args=(here / "mlflow.db",)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    own = (here / "artifacts").as_uri()
    assert all(found == own or found.startswith(f"{own}/") for found in places(here))


def test_what_is_no_database_of_results_is_left_alone(tmp_path):
    (tmp_path / "artifacts").mkdir()
    adopt_artifacts(tmp_path / "mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()
