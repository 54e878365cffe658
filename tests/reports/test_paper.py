"""Published numbers: known cells of the tables, and ours beside them."""

import pandas as pd
import pytest

import harness.tracking
from harness.errors import InputError
from reports.launch import compare as command
from reports.published.cells import layout
from reports.published.compare import compare
from reports.published.index import TABLES
from reports.published.paper import CELL, named, published
from tests.reports.test_published_tables import of_paper, tracked


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
    table, left_out = compare("mvtec_ad", results())
    of_meds = table[(table["method"] == "Dinomaly+MeDS") & (table["table"] == "T1")]
    assert list(of_meds["source"]) == ["paper", "poster"]
    meds = of_meds.iloc[0]
    assert meds["published"] == 99.16
    assert meds["ours"] == pytest.approx(98.5)
    assert meds["difference"] == pytest.approx(-0.66)
    assert meds["seeds"] == 2
    assert meds["beyond"] == "no"  # the seeds differ by more
    soft = table[table["method"] == "SoftPatch"]
    assert list(soft["table"]) == ["T12"]
    assert soft["beyond"].item() == ""
    assert "caption says noise 20" in soft["note"].item()
    assert left_out == ""


def test_several_settings_of_a_method_are_no_seeds_and_are_not_compared():
    rows = results()
    meds = rows[rows["detector"] == "MeDS"]
    rhos = [meds.assign(**{"detector.memory.ratio": rho}) for rho in ("0.1", "0.2")]
    table, left_out = compare("rho", pd.concat([*rhos, rows[rows["detector"] == "SoftPatch"]]))
    assert set(table["method"]) == {"SoftPatch"}
    assert "Dinomaly+MeDS in T1, T12 (detector.memory.ratio)." in left_out
    with pytest.raises(InputError, match=r"with several settings: Dinomaly\+MeDS"):
        compare("rho", pd.concat(rhos))


@pytest.mark.parametrize(
    ("study", "name"),
    [("ablation", "table-4"), ("ablation_inp_former", "table-5"), ("loco", "table-ad2-3")],
)
def test_stages_and_modules_meet_the_table_that_has_them(study, name):
    table, _ = compare(study, tracked(layout(TABLES[name])))
    numbers = published(TABLES[name].source)
    of_dataset = numbers["dataset"] == table["dataset"].iloc[0]
    wanted = numbers[(numbers["table"] == TABLES[name].table) & of_dataset]
    own = table[(table["source"] == TABLES[name].source) & (table["table"] == TABLES[name].table)]
    assert len(own) == len(wanted.query("metric != 'I-AUROC-gap'"))
    assert own["difference"].abs().max() < 1e-9
    assert set(own["seeds"]) == {1}


def test_ad2_is_compared_with_its_paper_on_every_dataset_in_per_cent():
    rows = of_paper("table-ad2-4").rows
    table, _ = compare("loco", rows)
    assert set(table["source"]) == {"ad2"}
    row = table.query("table == 'T1' and method == 'AD2' and category == 'logical'").iloc[0]
    assert row["published"] == pytest.approx(80.9)
    on_mvtec_ad = rows.query("category == 'mean'").assign(dataset="MVTecAD")
    table, _ = compare("loco", on_mvtec_ad.query("metric == 'image_auroc'"))
    assert table.query("table == 'T1' and method == 'AD2'")["published"].item() == pytest.approx(
        94.7
    )


def test_a_mean_of_a_part_of_the_categories_says_so():
    every = of_paper("table-7").rows
    part = every[every["category"] != "zipper"]
    notes = [
        compare("mvtec_ad", rows)[0].query("category == 'mean'")["note"] for rows in (every, part)
    ]
    assert not notes[0].str.contains("categories").any()
    assert notes[1].str.contains("our mean covers 14 categories").all()


def test_the_command_joins_categories_that_were_trained_apart_and_says_whose_lists_differ(
    tmp_path, monkeypatch, capsys
):
    every = tracked(layout(TABLES["table-22"])).query("category != 'mean'")
    apart = every.assign(
        categories="('" + every["category"] + "',)",
        key=every["run_id"],
        milliseconds=range(len(every)),
    )
    monkeypatch.setattr(harness.tracking.Tracker, "load", lambda tracker, profile: apart)
    monkeypatch.setattr(command, "prepare_environment", lambda: None)  # Ray may be imported
    assert command.main(command.Options(study="real_iad", runs=tmp_path)) == 0
    assert (
        "Published: contaminated by the official noisy lists of Real-IAD" in capsys.readouterr().out
    )
    table = pd.read_csv(tmp_path / "real_iad" / "real_iad-paper.csv")
    means = table.query("table == 'T22' and category == 'mean'")
    assert len(means) == len(layout(TABLES["table-22"]).query("category == 'mean'"))
    assert set(means["seeds"]) == {1}
    assert means["difference"].abs().max() < 0.06


def test_a_dataset_without_published_numbers_is_named_with_what_can_be_done():
    with pytest.raises(
        InputError, match="no number that matches this study on MagneticTile"
    ) as error:
        compare("baselines", results("MagneticTile"))
    assert "make compare-paper STUDY=mvtec_ad" in str(error.value)
    text = str(error.value).partition("metrics on ")[2].partition(".")[0]
    assert text.split(", ") == ["MVTecAD", "VisA", "Real-IAD", "MVTec-LOCO"]


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
        setting: named(both, setting).groupby("method")["value"].mean()
        for setting in ("multi-class", "single-class")
    }
    assert values["multi-class"]["SoftPatch"] == pytest.approx(0.9)
    assert values["single-class"]["SoftPatch"] == pytest.approx(0.7)
    assert values["multi-class"]["Dinomaly+MeDS"] == values["single-class"]["Dinomaly+MeDS"]
