"""Categories that no published list names: what was asked for is injected, or the difference is said."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.validation import validate
from harness.datasets.visa import VisA
from harness.detectors import MemoryDetector
from harness.errors import InputError
from harness.experiment import Experiment
from harness.experiment.preparation import check_noise
from harness.features.encoder import Encoder
from harness.images import ImageIndex
from harness.noise import Noise, contaminate
from harness.noise.contamination import PROTOCOLS
from harness.noise.counts import describe_counts
from harness.noise.published_lists import published_injections

KOLEKTOR = Path(__file__).parents[4] / "shared" / "data" / "kolektor-sdd-256"
PUBLISHED = ("mvtec_ad", "visa")


def table(dataset, categories, normals=277, anomalies=52, good=70):
    """Sample table of a dataset whose files need not exist."""
    rows = []
    for category in categories:
        kinds = (("train", "good", normals), ("test", "good", good), ("test", "scratch", anomalies))
        for split, defect, count in kinds:
            rows += [
                {
                    "dataset": dataset,
                    "image": f"{category}/{split}/{defect}/{number:03}.png",
                    "category": category,
                    "split": split,
                    "defect": defect,
                }
                for number in range(count)
            ]
    return pd.DataFrame(rows)


def listed_table(dataset, category, ratio=0.1):
    """Sample table of a published category that has exactly the anomalies that its list names."""
    rows = table(dataset, [category], normals=100, anomalies=0)
    stems = published_injections(dataset, ratio, 0)[category]
    anomalies = pd.DataFrame(
        {
            "dataset": dataset,
            "image": [f"{category}/test/{stem}.png" for stem in stems],
            "category": category,
            "split": "test",
            "defect": "scratch",
        }
    )
    return pd.concat([rows, anomalies], ignore_index=True)


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_requested_images_of_a_category_of_ones_own_are_injected(dataset, protocol, nested):
    noise = Noise(ratio=0.1, protocol=protocol, nested=nested)
    counts = contaminate(table(dataset, ["commutator"]), noise).counts
    exact = 277 / 9 if protocol == "meds_paper" else 27.7
    wanted = round(exact) if protocol.startswith("meds") else int(exact)
    assert list(counts["wanted"]) == list(counts["injected"]) == [wanted]
    assert list(counts["listed"]) == [False]


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_published_and_other_categories_are_treated_apart_in_one_root(dataset):
    known = "bottle" if dataset == "mvtec_ad" else "candle"
    alone = listed_table(dataset, known)
    both = pd.concat([alone, table(dataset, ["commutator"])], ignore_index=True)
    split, expected = contaminate(both, Noise(ratio=0.1)), contaminate(alone, Noise(ratio=0.1))
    counts = split.counts.set_index("category")
    assert counts.loc["commutator", ["wanted", "injected"]].tolist() == [28, 28]
    assert counts["listed"].to_dict() == {"commutator": False, known: True}
    injected = split.train.loc[split.injected_N, "image"]
    of_known = set(injected[injected.str.startswith(f"{known}/")])
    assert of_known == set(expected.train.loc[expected.injected_N, "image"])
    assert "but those of commutator are drawn" in describe_counts(split.counts)


def test_a_published_category_without_its_listed_images_is_refused_with_a_cure():
    with pytest.raises(InputError, match=r"bottle.*not in the test split.*--protocol"):
        contaminate(table("mvtec_ad", ["bottle"]), Noise(ratio=0.1))


@pytest.mark.parametrize("dataset", [*PUBLISHED, "folder"])
def test_a_training_set_into_which_nothing_would_be_injected_is_refused(dataset):
    samples = table(dataset, ["few"], normals=4, anomalies=3)
    with pytest.raises(InputError, match="would inject no image into few"):
        contaminate(samples, Noise(ratio=0.1))
    with pytest.raises(InputError, match="would inject no image into few"):
        check_noise(samples, [(Noise(ratio=0.1), None)])
    assert contaminate(samples, Noise()).counts["injected"].tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(
    dataset=st.sampled_from([*PUBLISHED, "folder"]),
    protocol=st.sampled_from(list(PROTOCOLS)),
    ratio=st.sampled_from([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45]),
    seed=st.sampled_from([0, 1, 10, 20, 30]),
    sizes=st.lists(st.tuples(st.integers(10, 60), st.integers(1, 30)), min_size=1, max_size=3),
    nested=st.booleans(),
)
def test_all_requested_images_are_injected_or_the_difference_is_counted_and_said(
    dataset, protocol, ratio, seed, sizes, nested
):
    samples = pd.concat(
        table(dataset, [f"part{number}"], normals=normals, anomalies=anomalies)
        for number, (normals, anomalies) in enumerate(sizes)
    ).reset_index(drop=True)
    noise = Noise(ratio=ratio, seed=seed, protocol=protocol, nested=nested)
    try:
        split = contaminate(samples, noise)
    except InputError:
        return
    text = describe_counts(split.counts)
    injected = split.train.loc[split.injected_N, "category"].value_counts()
    for row in split.counts.itertuples():
        assert row.injected == injected.get(row.category, 0)
        assert row.wanted == PROTOCOLS[protocol].wanted(row.normals, ratio)
        assert row.injected <= row.wanted
        is_said = f"{row.category} ({row.injected} of {row.wanted})" in text
        assert is_said == (row.injected < row.wanted)


def test_the_key_changes_only_where_a_known_category_is_drawn_instead_of_listed():
    def key(noise, *categories):
        parts = {"dataset": MVTecAD(), "encoder": Encoder(), "detector": MemoryDetector()}
        return Experiment(**parts, noise=noise, categories=categories or None).key

    drawn = Noise(ratio=0.1)
    # Keys of the version that gave unlisted categories empty lists.
    assert key(drawn) == "c289f7d74ad2a0e16e52ca2f"
    assert key(drawn, "bottle") == "71c1f30055b901fe384081a5"
    assert key(Noise(ratio=0.15), "commutator") == "36e04cd821f99ed6d428d489"
    assert key(drawn, "commutator") != "a985a2e372321cd553319e03"


@pytest.mark.skipif(not KOLEKTOR.is_dir(), reason="no folder ../shared/data/kolektor-sdd-256")
def test_the_real_category_receives_28_images_at_ten_percent(tmp_path):
    samples = validate(MVTecAD(), KOLEKTOR, ImageIndex(tmp_path / "images.json")).samples
    counts = contaminate(samples, Noise(ratio=0.1)).counts
    assert counts[["wanted", "injected"]].to_numpy().tolist() == [[28, 28]]


def test_visa_with_a_category_of_ones_own_is_drawn_too():
    assert VisA().name == "visa"
    assert Noise(ratio=0.05).unlisted("visa", ["candle", "mine"]) == ("mine",)
