"""Changes between results: paired and independent seeds, equal numbers, one seed, images, settings and the command."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.config.versions import ROOT
from harness.errors import InputError, UsageError
from reports.launch.changes import Options, main
from reports.launch.sources import read_source
from reports.statistics.changes import changes
from reports.statistics.images import ImageScores
from reports.tables.changed import describe_changes
from reports.tables.pairing import changed_settings, named_alike
from tests.support.synthetic_scores import Images, score_table, tidy_rows

BEFORE = [[0.80], [0.82], [0.84], [0.81]]
EXPORT = ROOT / "docs" / "results" / "baselines-mtd"


def frame(values, **changes):
    return pd.DataFrame(tidy_rows(values, **changes))


def test_results_that_are_the_same_are_equal():
    found = changes(frame(BEFORE), frame(BEFORE))
    assert list(found["verdict"]) == ["equal"]
    assert list(found["equal_keys"]) == [4]


def test_equal_seeds_are_paired():
    after = np.array(BEFORE) - 0.01 - 0.001 * np.arange(4)[:, None]
    found = changes(frame(BEFORE), frame(after)).iloc[0]
    theirs = stats.ttest_rel(after.ravel(), np.ravel(BEFORE))
    assert found["p"] == pytest.approx(theirs.pvalue)
    assert found["verdict"] == "beyond chance"


def test_other_seeds_are_independent():
    units = [("0", str(seed)) for seed in (7, 8, 9, 10)]
    after = np.array(BEFORE) - 0.012
    found = changes(frame(BEFORE), frame(after, units=units)).iloc[0]
    assert found["verdict"] == "within chance"
    error = np.sqrt(2 * np.var(BEFORE, ddof=1) / 4)
    assert found["high"] - found["low"] == pytest.approx(2 * stats.t.ppf(0.975, 3) * error)
    assert "seeds on each side" in found["unit"]


def test_one_seed_without_scores_has_unknown_chance():
    found = changes(frame([[0.8]]), frame([[0.7]])).iloc[0]
    assert found["verdict"] == "unknown"
    assert "unknown: the effect of other training seeds" in found["unit"]


def test_one_seed_with_scores_varies_over_test_images():
    rng = np.random.default_rng(3)
    images = Images(rng, normal=200, defective=150)
    method_N = rng.normal(size=350)
    sides = [
        score_table(images.scores(a, 1, method_N), images.labels_N, method="m") for a in (0.95, 0.7)
    ]
    scores = tuple(ImageScores(table) for table, _ in sides)
    found = changes(*(pd.DataFrame(rows) for _, rows in sides), scores).iloc[0]
    assert found["verdict"] == "beyond chance"
    assert "over 350 test images" in found["unit"]


def test_probabilities_are_corrected_for_all_changed_numbers():
    after = np.array(BEFORE) - 0.01 - 0.001 * np.arange(4)[:, None]
    sides = [
        pd.concat([frame(values, metric=metric) for metric in ("image_auroc", "image_ap")])
        for values in (BEFORE, after)
    ]
    found = changes(*sides)
    assert list(found["adjusted"]) == pytest.approx(list(2 * found["p"]))


def test_methods_pair_although_a_setting_changed_and_the_setting_is_listed():
    def side(steps):
        rows = frame(BEFORE).assign(**{"noise.ratio": "0.4", "detector.steps": steps})
        return rows.assign(key=rows["key"] + steps)

    before, after = named_alike([side("100"), side("200")])
    assert set(before["method"]) == set(after["method"]) == {"MeDS"}
    found = changed_settings(before, after)
    assert found.to_dict("records") == [
        {"method": "MeDS", "setting": "detector.steps", "before": "100", "after": "200"}
    ]
    both = pd.concat([side("100"), side("200")])
    assert set(named_alike([both, both])[0]["method"]) == {"MeDS, steps 100", "MeDS, steps 200"}


def test_the_text_lists_what_changed_beyond_chance():
    after = np.array(BEFORE) - 0.05
    text = describe_changes(changes(frame(BEFORE), frame(after)), pd.DataFrame())
    assert "Of 1 means over seeds and categories, 1 changed beyond chance." in text
    assert "* m, noise 40%, image AUROC (all): 81.8 to 76.8 %, -5.0" in text
    assert "95 % interval over 4 training seeds" in text
    nothing = describe_changes(changes(frame(BEFORE), frame(BEFORE, noise=0.2)), pd.DataFrame())
    assert "no number in common" in nothing


def test_the_command_compares_two_exports(tmp_path):
    """An export and its copy with lower values of one method; there is one seed, so chance is unknown."""
    other = tmp_path / "after"
    other.mkdir()
    for file in EXPORT.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    results = pd.read_parquet(other / "results.parquet")
    is_changed = (results["detector"] == "PatchCore") & (results["metric"] == "image_auroc")
    results.loc[is_changed, "value"] -= 0.1
    results.to_parquet(other / "results.parquet", index=False)
    command = ["compare", str(EXPORT), str(other), "--out", str(tmp_path / "changes.csv")]
    done = subprocess.run(
        [sys.executable, "-m", "meds_bench", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"{made_with()['runs']} experiments are in both, 0 only in the first" in done.stdout
    assert "PatchCore, noise 40%, image AUROC (all): 37.1 to 27.1 %, -10.0" in done.stdout
    table = pd.read_csv(tmp_path / "changes.csv")
    changed = table[table["verdict"] != "equal"]
    assert set(changed["method"]) == {"PatchCore"}
    assert set(changed["verdict"]) == {"unknown"}


def test_a_source_describes_its_runs_and_machine():
    made = made_with()
    about = read_source(str(EXPORT)).about
    assert f"{made['runs']} runs of revision {made['git'][:7]} on {made['processor']}" in about


def made_with():
    """Number of runs, revision and machine of the export."""
    (made,) = json.loads((EXPORT / "manifest.json").read_text())["made with"]
    return made


def test_wrong_sources_are_refused_with_what_is_allowed(tmp_path):
    with pytest.raises(UsageError, match="needs two sources"):
        main(Options(sources=(str(EXPORT),)))
    with pytest.raises(InputError, match=r"Name the folder of an exported study"):
        read_source(str(tmp_path / "nothing" / "rho" / "laptop"))
