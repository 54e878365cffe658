"""Published numbers: known cells of the tables, and ours beside them."""

import pandas as pd
import pytest

from harness.errors import InputError
from reports.paper import CELL, compare, ours, published


def test_the_file_holds_the_tables_as_printed():
    rows = published()
    assert len(rows) == 11_412
    table = rows[rows["table"] == "T1"].set_index(["method", "noise", "metric"])["value"]
    assert table["Dinomaly+MeDS", 40, "I-AUROC"] == 99.16
    assert table["SoftPatch", 40, "P-AUPRO"] == 69.33
    assert not rows.duplicated(["table", "variant", *CELL]).any()
    assert len(published("ad2")) == 173
    assert len(published("poster")) == 288


def results(dataset="MVTecAD"):
    """Two seeds of MeDS and one of SoftPatch, as the tracker gives them."""
    rows = [
        ("MeDS", "Dinomaly", "0.4", seed, "all", "image_auroc", "mean", value)
        for seed, value in (("0", 0.99), ("1", 0.98))
    ]
    rows.append(("SoftPatch", None, "0.4", "0", "all", "image_auroc", "bottle", 1.0))
    rows.append(("SoftPatch", None, "0.4", "0", "unseen", "image_auroc", "bottle", 0.1))
    rows.append(("MemoryDetector", None, "0.4", "0", "all", "image_auroc", "mean", 0.5))
    names = "detector detector.network noise.ratio seed readout metric category value"
    return pd.DataFrame(rows, columns=names.split()).assign(dataset=dataset, **{"noise.seed": "0"})


def test_ours_stand_beside_theirs_with_the_difference():
    table = compare(results())
    meds = table[(table["method"] == "Dinomaly+MeDS") & (table["table"] == "T1")].iloc[0]
    assert meds["published"] == 99.16
    assert meds["ours"] == pytest.approx(98.5)
    assert meds["difference"] == pytest.approx(-0.66)
    assert meds["beyond"] == "no"  # the seeds differ by more
    soft = table[table["method"] == "SoftPatch"]
    assert list(soft["table"]) == ["T12"]
    assert soft["beyond"].item() == ""
    assert "caption says noise 20" in soft["note"].item()


def test_a_dataset_without_published_numbers_is_named():
    with pytest.raises(InputError, match="no number that this study on MagneticTile has"):
        compare(results("MagneticTile"))


def test_a_method_that_ran_with_both_kinds_of_memory_is_compared_in_the_setting_of_the_table():
    rows = results()
    own = rows[rows["detector"] == "SoftPatch"]
    both = pd.concat(
        [
            own.assign(value=0.9, **{"detector.scope": "all"}),
            own.assign(value=0.7, **{"detector.scope": "category"}),
            rows[rows["detector"] == "MeDS"].assign(**{"detector.scope": None}),
        ]
    )
    values = {
        setting: ours(both, setting).set_index("method")["ours"]
        for setting in ("multi-class", "single-class")
    }
    assert values["multi-class"]["SoftPatch"] == pytest.approx(90)
    assert values["single-class"]["SoftPatch"] == pytest.approx(70)
    assert values["multi-class"]["Dinomaly+MeDS"] == values["single-class"]["Dinomaly+MeDS"]
