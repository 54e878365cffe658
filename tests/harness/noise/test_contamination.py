"""Contamination: the published counts and lists, and what every protocol must satisfy."""

import csv
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config.file_ref import file_ref
from harness.errors import InputError
from harness.noise import Noise, contaminate
from harness.noise.contamination import PROTOCOLS
from harness.noise.published_lists import published_injections
from tests.support.sample_tables import mvtec_like, table, visa_like


@pytest.fixture(scope="module")
def mvtec():
    return mvtec_like()


@pytest.mark.parametrize(
    ("seed", "totals"),
    [
        (0, (371, 700, 1167)),
        (10, (362, 715, 1167)),
        (20, (362, 715, 1167)),
        (30, (362, 715, 1167)),
        (1, (362, 715, 1167)),
    ],
)
def test_mvtec_ad_is_injected_as_published_and_by_the_rule_for_other_seeds(mvtec, seed, totals):
    found = [
        int(contaminate(mvtec, Noise(ratio=r, seed=seed)).injected_N.sum()) for r in (0.1, 0.2, 0.4)
    ]
    assert tuple(found) == totals


def test_visa_is_injected_as_published():
    samples = visa_like()
    found = [int(contaminate(samples, Noise(ratio=r)).injected_N.sum()) for r in (0.02, 0.05, 0.1)]
    assert found == [173, 431, 864]


def test_published_lists_are_the_authors_files():
    """Against the files themselves, which are not part of the project."""
    folder = os.environ.get("MEDS_LISTS")
    if folder is None:
        pytest.skip("set MEDS_LISTS to the folder with MVTech and VISA of the authors' release")
    checked = 0
    for place, dataset in (("MVTech", "mvtec_ad"), ("VISA", "visa")):
        for file in sorted((Path(folder) / place).glob("*nr[1-9]*.csv")):
            ratio, seed = (int(part) for part in file.stem.split("_nr")[1].split("_seed_"))
            with file.open() as lines:
                names = [row["filename"] for row in csv.DictReader(lines)]
            injected = {
                name.rsplit(".", 1)[0].replace("/test/", "/") for name in names if "/test/" in name
            }
            shipped = published_injections(dataset, ratio / 100, seed)
            assert {
                f"{category}/{stem}" for category, stems in shipped.items() for stem in stems
            } == injected
            checked += 1
    assert checked == 24


def test_a_published_list_is_the_list(mvtec):
    split = contaminate(mvtec, Noise(ratio=0.1, seed=10))
    listed = published_injections("mvtec_ad", 0.1, 10)
    assert {image for image in split.train.loc[split.injected_N, "image"]} == {
        f"{category}/test/{stem}.png" for category, stems in listed.items() for stem in stems
    }


def test_a_published_list_that_does_not_fit_the_folder_is_refused(mvtec):
    short = mvtec[~((mvtec["category"] == "wood") & (mvtec["defect"] == "scratch"))]
    with pytest.raises(
        InputError,
        match=r"list of mvtec_ad, category 'wood', names scratch/\d+ and \d+ more",
    ):
        contaminate(short, Noise(ratio=0.4))
    subset = mvtec[mvtec["category"].isin(["bottle", "pill"])]
    assert contaminate(subset, Noise(ratio=0.1)).injected_N.sum() == 21 + 27


HAND = [  # normals, anomalies, ratio, {protocol: injected}
    (209, 63, 0.1, {"meds_paper": 23, "imiad": 20}),
    (245, 92, 0.1, {"meds_paper": 27}),
    (905, 100, 0.1, {"imiad": 75}),
    (391, 70, 0.4, {"imiad": 52, "meds_paper": 70}),
    (224, 92, 0.4, {"imiad": 69}),
    (60, 30, 0.4, {"meds": 24, "meds_paper": 30, "imiad": 22}),
    (100, 50, 0.29, {"meds": 29, "softpatch_overlap": 29}),
]


@pytest.mark.parametrize(("normals", "anomalies", "ratio", "expected"), HAND)
def test_counts_follow_the_arithmetic_of_each_protocol(normals, anomalies, ratio, expected):
    samples = table({"a": (normals, 5, anomalies)})
    for protocol, injected in expected.items():
        split = contaminate(samples, Noise(ratio=ratio, protocol=protocol))
        assert split.injected_N.sum() == injected, protocol
        assert split.counts["contamination"].item() == pytest.approx(
            injected / (normals + injected)
        )


def test_without_overlap_something_must_be_left_to_test():
    samples = table({"a": (100, 5, 20)})
    with pytest.raises(InputError, match="leave none to test"):
        contaminate(samples, Noise(ratio=0.2, protocol="softpatch"))
    assert (
        contaminate(samples, Noise(ratio=0.19, protocol="softpatch")).counts["unseen"].item() == 1
    )


sizes = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(
        st.integers(1, 30),
        st.integers(1, 5),
        st.dictionaries(st.sampled_from(["cut", "dent", "hole"]), st.integers(1, 12), min_size=1),
    ),
    min_size=1,
)


@settings(max_examples=40, deadline=None)
@given(
    sizes,
    st.floats(0, 0.49),
    st.integers(0, 100),
    st.sampled_from(sorted(PROTOCOLS)),
    st.booleans(),
)
def test_every_draw_keeps_the_rules(counts, ratio, seed, protocol, nested):
    samples = table(counts)
    noise = Noise(ratio=ratio, seed=seed, protocol=protocol, nested=nested)
    try:
        split = contaminate(samples, noise)
    except InputError:
        is_any_wanted = any(noise.rule.wanted(normals, ratio) for normals, *_ in counts.values())
        assert protocol.startswith("softpatch") or not noise.rule.overlap or not is_any_wanted
        return
    assert split.train["image"].is_unique
    injected = split.train[split.injected_N]
    assert (injected["split"] == "test").all()
    assert set(split.train["image"]) >= set(samples.loc[samples["split"] == "train", "image"])
    tested = (samples["split"] == "test").sum()
    if noise.rule.overlap:
        assert len(split.test) == tested
        assert split.seen_N.sum() == len(injected)
    else:
        assert len(split.test) == tested - len(injected)
        assert not split.seen_N.any()
    for row in split.counts.to_dict("records"):
        assert row["injected"] <= min(row["wanted"], row["anomalies"])
        assert row["unseen"] == row["anomalies"] - row["injected"]
        assert row["contamination"] == row["injected"] / (row["normals"] + row["injected"])


@settings(max_examples=20, deadline=None)
@given(sizes, st.integers(0, 100))
def test_no_list_depends_on_other_categories_or_on_the_order_of_the_table(counts, seed):
    noise = Noise(ratio=0.6, seed=seed)  # every category wants an image
    samples = table(counts)
    together = contaminate(samples.sample(frac=1, random_state=seed), noise)
    for category in counts:
        alone = contaminate(samples[samples["category"] == category], noise)
        of_category = together.train[together.train["category"] == category]
        assert set(of_category["image"]) == set(alone.train["image"])


def injected_images(samples, **noise):
    split = contaminate(samples, Noise(**noise))
    return frozenset(split.train.loc[split.injected_N, "image"])


def test_seeds_ratios_and_datasets_draw_different_lists():
    samples = table({"a": (100, 5, 100)})
    renamed = samples.assign(dataset="another")
    lists = [
        injected_images(samples, ratio=0.2),
        injected_images(samples, ratio=0.2, seed=1),
        injected_images(renamed, ratio=0.2),
        injected_images(samples, ratio=0.2, protocol="softpatch_overlap"),
    ]
    assert len(set(lists)) == len(lists)
    assert injected_images(samples, ratio=0.2) == lists[0]
    assert not lists[0] <= injected_images(samples, ratio=0.4)


def test_nested_lists_hold_the_smaller_ones():
    samples = table({"a": (100, 5, 60), "b": (50, 5, 30)})
    lists = [injected_images(samples, ratio=r, nested=True) for r in (0.1, 0.2, 0.4)]
    assert lists[0] < lists[1] < lists[2]


def test_stratified_draws_keep_the_proportions_of_defects():
    samples = table({"a": (90, 5, {"cut": 30, "dent": 10, "hole": 6})})
    split = contaminate(samples, Noise(ratio=0.1, protocol="meds_paper"))
    kinds = split.train.loc[split.injected_N, "defect"].value_counts().to_dict()
    # 10 of 46: 6.52, 2.17, 1.30 -> 6, 2, 1 and the largest remainder, cut
    assert kinds == {"cut": 7, "dent": 2, "hole": 1}


def test_draws_are_uniform():
    samples = table({"a": (50, 1, 20)})
    hits = np.zeros(20)
    for seed in range(300):
        hits[[int(path[-7:-4]) for path in injected_images(samples, ratio=0.1, seed=seed)]] += 1
    expected = 300 * 5 / 20
    assert ((hits - expected) ** 2 / expected).sum() < 43.8  # chi-squared, 19 degrees, p = 0.001


def test_a_list_is_the_whole_training_set(tmp_path):
    samples = table({"a": (5, 2, 4)})
    file = tmp_path / "train.csv"
    file.write_text(
        "filename,clsname\na/train/good/001.png,a\na/train/good/003.png,a\na/test/bad/002.png,a\n"
    )
    split = contaminate(samples, Noise(protocol="list", listed=file_ref(file)))
    assert split.train["image"].tolist() == [
        "a/test/bad/002.png",
        "a/train/good/001.png",
        "a/train/good/003.png",
    ]
    assert split.injected_N.tolist() == [True, False, False]
    assert len(split.test) == 6
    assert split.counts["unseen"].item() == 3


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a,b\n1,2\n", "must be a CSV file with a header, a column 'filename'"),
        ("filename\nx/y.png\n", r"names x/y.png and 0 more images that are neither"),
        ("filename\na/test/good/000.png\n", r"names a/test/good/000.png"),
    ],
)
def test_lists_that_do_not_fit_are_refused(tmp_path, content, text):
    file = tmp_path / "train.csv"
    file.write_text(content)
    with pytest.raises(InputError, match=text):
        contaminate(table({"a": (5, 2, 4)}), Noise(protocol="list", listed=file_ref(file)))


def test_anomalies_that_a_dataset_trains_on_by_itself_count_as_injected():
    samples = table({"a": (8, 2, 4)})
    moved = samples["image"] == "a/test/bad/001.png"
    samples.loc[moved, "split"] = "train"
    split = contaminate(samples, Noise())
    assert split.injected_N.sum() == 1
    assert split.counts["contamination"].item() == pytest.approx(1 / 9)


@pytest.mark.parametrize(
    ("noise", "text"),
    [
        ({"ratio": -0.1}, r"noise ratio must lie in \[0, 1\), got -0.1"),
        ({"ratio": 1.5}, r"noise ratio must lie in \[0, 1\), got 1.5"),
        ({"ratio": 0.5, "protocol": "meds_paper"}, "below 0.5 under meds_paper"),
        (
            {"protocol": "medsy"},
            r"no noise protocol 'medsy'. Protocols: meds, meds_paper, softpatch",
        ),
    ],
)
def test_settings_outside_their_range_are_refused(noise, text):
    with pytest.raises(InputError, match=text):
        Noise(**noise)


def test_ratios_are_exact_in_decimal():
    assert math.floor(0.29 * 100) == 28  # what binary floating point would say
    assert (
        injected_images(
            table({"a": (100, 1, 50)}), ratio=0.29, protocol="softpatch_overlap"
        ).__len__()
        == 29
    )


def test_rows_keep_their_table(mvtec):
    split = contaminate(mvtec, Noise(ratio=0.1))
    assert isinstance(split.train, pd.DataFrame)
    assert list(split.train.columns) == list(mvtec.columns)
    assert split.train.index.is_monotonic_increasing
