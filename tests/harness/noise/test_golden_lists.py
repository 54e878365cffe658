"""Injected counts by hand, D24 and D25, and what holds for the lists of a whole dataset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.noise import Noise, contaminate
from harness.noise.contamination import PROTOCOLS
from tests.support.sample_tables import mvtec_like, table, visa_like

COUNTS = [  # normals, anomalies, ratio, injected by the default and by the rule that rounds down
    pytest.param(209, 63, 0.1, 21, 20, id="d24_bottle"),
    pytest.param(245, 92, 0.1, 24, 24, id="d24_leather_half_to_even"),
    pytest.param(450, 100, 0.05, 22, 22, id="d24_half_to_even"),
    pytest.param(905, 100, 0.1, 90, 90, id="d24_candle_half_to_even"),
    pytest.param(224, 92, 0.4, 90, 89, id="d24_cable"),
]


@pytest.mark.parametrize(("normals", "anomalies", "ratio", "default", "floor"), COUNTS)
def test_injected_counts(normals, anomalies, ratio, default, floor):
    samples = table({"a": (normals, 5, anomalies)})
    for protocol, injected in (("meds", default), ("softpatch_overlap", floor)):
        split = contaminate(samples, Noise(ratio=ratio, protocol=protocol))
        assert split.injected_N.sum() == injected, protocol
        share = split.counts["contamination"].item()
        assert share == pytest.approx(injected / (normals + injected))


def test_d24_hazelnut_takes_all_it_has_or_is_refused():
    samples = table({"hazelnut": (391, 5, 70)})
    assert contaminate(samples, Noise(ratio=0.4)).injected_N.sum() == 70
    text = r"needs 156 anomalous images of 'hazelnut' but the test split has 70"
    with pytest.raises(InputError, match=text):
        contaminate(samples, Noise(ratio=0.4, protocol="softpatch_overlap"))


def test_d25_a_shortage_is_recorded():
    noise = Noise(ratio=0.1, protocol="meds_paper")
    # 100.56 are wanted: one more than there are.
    counts = contaminate(table({"candle": (905, 5, 100)}), noise).counts
    assert counts[["wanted", "injected", "anomalies"]].iloc[0].tolist() == [101, 100, 100]


@pytest.mark.parametrize("seed", [0, 10, 1])
@pytest.mark.parametrize(
    ("samples_of", "ratios"), [(mvtec_like, (0.1, 0.2, 0.4)), (visa_like, (0.02, 0.05, 0.1))]
)
def test_lists_of_a_whole_dataset(samples_of, ratios, seed):
    """Seeds 0 and 10 have published lists, seed 1 is drawn."""
    samples = samples_of()
    anomalies = samples[(samples["split"] == "test") & (samples["defect"] != "good")]
    for ratio in ratios:
        split = contaminate(samples, Noise(ratio=ratio, seed=seed))
        assert split.train["image"].is_unique
        assert set(split.train.loc[split.injected_N, "image"]) <= set(anomalies["image"])
        above = split.counts[split.counts["contamination"] > ratio].set_index("category")
        # The authors' own list of this one category has 48 anomalies where their rule gives 39.
        known = {"hazelnut": 48} if (samples_of, ratio, seed) == (mvtec_like, 0.1, 0) else {}
        assert above["injected"].to_dict() == known


@given(st.integers(1, 5000), st.integers(0, 99))
def test_counts_per_normal_image_exceed_the_ratio_by_their_rounding_at_most(normals, percent):
    ratio = percent / 100
    down = PROTOCOLS["softpatch"].wanted(normals, ratio)
    assert down * 100 <= percent * (normals + down)  # m / (n + m) <= r
    assert abs(PROTOCOLS["meds"].wanted(normals, ratio) - ratio * normals) <= 0.5 + 1e-9


@pytest.mark.parametrize("ratio", [0.1, 0.4])
def test_overlap_keeps_the_test_set_of_mvtec_ad_and_no_overlap_shrinks_it_by_the_injected(ratio):
    samples = mvtec_like()
    assert len(contaminate(samples, Noise(ratio=ratio)).test) == 1725
    # Three quarters of the anomalies at most, so that no category runs short.
    apart = contaminate(samples, Noise(ratio=ratio, protocol="imiad"))
    assert len(apart.test) == 1725 - apart.injected_N.sum()
    assert not apart.seen_N.any()
