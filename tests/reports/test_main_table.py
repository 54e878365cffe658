"""The paper's main tables: every method by name, and categories that were trained apart taken together."""

from dataclasses import replace

import pandas as pd
import pytest

from reports import mvtec_ad as main_table
from reports.pages.captions import full_caption, short_caption
from reports.tables.categories import merge_single_category
from sweeps.profiles.local import SMOKE
from sweeps.profiles.paper import MVTEC_AD, REAL_IAD
from tests.sweeps.test_sweeps import cells


def tracked(experiments, value):
    """Tracked rows of experiments, as the tracker gives them back: `value` of every category, and their mean."""
    rows = []
    for number, experiment in enumerate(experiments):
        names = experiment.categories or ("bottle", "zipper")
        values = {name: value(experiment, name) for name in names}
        values["mean"] = sum(values.values()) / len(values)
        params = {name: str(setting) for name, setting in experiment.params.items()}
        of_run = {**params, "run_id": str(number), "key": experiment.key, "readout": "all"}
        of_run["milliseconds"] = 2 + number / 1000  # differs per run
        for metric in ("image_auroc", "image_ap", "pixel_aupro", "pixel_ap"):
            rows += [
                {**of_run, "metric": metric, "category": name, "value": each}
                for name, each in values.items()
            ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("profile", "methods"), [(MVTEC_AD, 9), (SMOKE, 10), (REAL_IAD, 6)])
def test_every_method_has_a_row_at_every_noise_ratio(profile, methods):
    results = merge_single_category(
        tracked(cells("mvtec_ad", profile), lambda e, name: 1 - e.noise.ratio)
    )
    table = main_table.summary(results)
    assert table["method"].nunique() == methods
    assert len(table) == methods * len(profile.noise_ratios)
    assert {"Dinomaly", "Dinomaly + MeDS"} <= set(table["method"])
    for ratio in profile.noise_ratios:
        shown = table.loc[table["noise"] == f"{ratio:.0%}", "image AUROC, %"].map(str)
        assert all(cell.startswith(f"{100 * (1 - ratio):.1f}") for cell in shown)
    assert len(main_table.draw(results).axes[0].lines) == methods + 1  # and the chance level


def test_the_mean_of_categories_that_were_trained_apart_is_over_all_of_them():
    names = sorted(REAL_IAD.categories)
    worth = {name: number / 30 for number, name in enumerate(names)}
    results = tracked(cells("real_iad", REAL_IAD), lambda e, name: worth[name])
    means = merge_single_category(results).query("category == 'mean'")
    assert len(means) == 6 * 4 * 4  # methods, noise ratios, metrics
    assert means["value"].to_numpy() == pytest.approx(sum(worth.values()) / 30)
    kept = merge_single_category(results).query("category != 'mean'")
    assert len(kept) == len(results.query("category != 'mean'"))


def test_categories_that_were_trained_apart_are_no_seeds_of_each_other():
    results = tracked(cells("real_iad", REAL_IAD), lambda e, name: len(name) / 100)
    table = main_table.summary(merge_single_category(results))
    assert set(map(str, table["runs"])) == {"30"}
    assert not table["image AUROC, %"].map(str).str.contains("±").any()


def test_a_mean_says_which_categories_it_is_of():
    of_pair = [replace(e, categories=("zipper", "bottle")) for e in cells("mvtec_ad", MVTEC_AD)]
    means = merge_single_category(tracked(of_pair, lambda e, name: 0.5)).query("category == 'mean'")
    assert set(means["categories"]) == {"('bottle', 'zipper')"}


def test_captions_say_of_how_many_categories_a_mean_is_that_lacks_some():
    results = tracked(cells("real_iad", REAL_IAD), lambda e, name: 0.5)
    assert "fewer" not in short_caption(merge_single_category(results), "all")
    of_uniad = results.query("detector == 'UniAD' and `noise.ratio` == '0.4'")
    finished = results[~results["run_id"].isin(of_uniad["run_id"].unique()[:2])]
    said = "Means of fewer categories: UniAD at noise 40% (28 of 30)."
    assert said in short_caption(merge_single_category(finished), "all")
    assert said in full_caption(merge_single_category(finished))


def test_experiments_on_all_categories_stay_as_they_are():
    results = tracked(cells("mvtec_ad", MVTEC_AD), lambda e, name: 0.5)
    pd.testing.assert_frame_equal(merge_single_category(results), results)
    older = results.drop(columns="categories")
    pd.testing.assert_frame_equal(merge_single_category(older), older)
