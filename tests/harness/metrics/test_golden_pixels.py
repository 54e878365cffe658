"""Maps and masks by hand, D8 to D13, D15, D22, D23, D26 and D27: every digit that was written down."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from harness.images import resize_mask
from harness.metrics import (
    channel_sweep,
    pixel_ap,
    pixel_aupro,
    pixel_auroc,
    pixel_f1max,
    pixel_sweep,
    regions,
)
from harness.metrics.as_released import dinomaly200_aupro
from harness.metrics.regions import Channel, region_shares, saturation_area


@dataclass
class Pixels:
    """Masks, maps, and what they must give; what is left empty was not worked out."""

    masks: np.ndarray
    maps: np.ndarray
    aupro: dict[float, float]
    corners: list[tuple[float, float]] = field(default_factory=list)
    """Points of the curve of overlap against false-positive rate, where it turns."""
    between: list[tuple[float, float]] = field(default_factory=list)
    """Points on its straight lines."""
    shares: list[float] | None = None
    """What each defective pixel adds to the overlap: tells the regions and their areas."""
    normals: int | None = None
    metrics: dict = field(default_factory=dict)


ROW13 = np.array([[[int(c) for c in "1100000000001"]]])
SMALL = np.array([[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]])
DIAGONAL = np.array([[[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]])
PIXELS = {
    "d08_two_regions": Pixels(
        ROW13,
        np.array([[[13, 8, 12, 10, 9, 7, 6, 5, 4, 3, 2, 1, 11]]]),
        {0.3: 7 / 12, 0.25: 0.55, 0.05: 0.25, 1.0: 0.875},
        corners=[(0, 0), (0, 0.25), (0.1, 0.25), (0.1, 0.75), (0.3, 0.75), (0.3, 1), (1, 1)],
        between=[(0.2, 0.75)],
        shares=[1 / 4, 1 / 4, 1 / 2],
        normals=10,
        metrics={pixel_auroc: 13 / 15, pixel_ap: 13 / 18, pixel_f1max: 2 / 3},
    ),
    "d09_a_tie_of_defect_and_normal": Pixels(
        np.array([[[1, 1, 0, 0, 0, 0]]]),
        np.array([[[0.9, 0.5, 0.8, 0.5, 0.2, 0.1]]]),
        {0.3: 0.1525 / 0.3, 1.0: 0.8125},
        corners=[(0, 0), (0, 0.5), (0.25, 0.5), (0.5, 1), (1, 1)],
        between=[(0.75, 1)],
        metrics={pixel_auroc: 0.8125, pixel_ap: 0.75},
    ),
    "d10_separable": Pixels(
        SMALL,
        np.array([[[0.9, 0.6, 0.5, 0.1], [0.2, 0.3, 0.1, 0.1], [0.1, 0.1, 0.4, 0.7]]]),
        {0.01: 1, 0.05: 1, 0.3: 1, 1.0: 1},
        shares=[1 / 4, 1 / 4, 1 / 2],
        normals=9,
    ),
    "d11_two_values": Pixels(SMALL, np.where(SMALL, 0.9, 0.1), {0.01: 1, 0.3: 1, 1.0: 1}),
    "d12_constant": Pixels(
        SMALL,
        np.full(SMALL.shape, 7.0),
        {0.3: 0.15, 0.05: 0.025, 1.0: 0.5},
        metrics={pixel_auroc: 0.5, pixel_ap: 0.25},
    ),
    "d13_touching_at_a_corner": Pixels(
        DIAGONAL,
        np.array([[[1, 1, 5, 1], [1, 1, 1, 1], [1, 9, 1, 1], [1, 1, 1, 1]]]),
        {0.3: 0.314015, 0.05: 0.25},
        shares=[1 / 4] * 4,
        metrics={pixel_ap: 0.4375, pixel_f1max: 0.4},
    ),
    "d15_with_a_good_image": Pixels(
        np.array([[[1, 1, 0, 0, 0], [0] * 5], np.zeros((2, 5))]),
        np.array([[[10, 4, 9, 1, 1], [1] * 5], [[8, 7, 6, 5, 3], [2] * 5]]),
        {0.3: 0.537037},
        corners=[(0, 0), (0, 0.5), (5 / 18, 0.5), (5 / 18, 1), (1, 1)],
        normals=18,
        metrics={pixel_auroc: 0.861111, pixel_ap: 0.642857},
    ),
}


@pytest.mark.parametrize("name", PIXELS)
def test_pixel_metrics(name):
    case = PIXELS[name]
    for limit, value in case.aupro.items():
        assert pixel_aupro(case.masks, case.maps, max_fpr=limit) == pytest.approx(value, abs=1e-6)
    for metric, value in case.metrics.items():
        assert metric(case.masks, case.maps) == pytest.approx(value, abs=1e-6), metric.__name__
    sweep = pixel_sweep(case.masks, case.maps)
    curve = np.stack(sweep.overlap_curve(), axis=1)
    if case.corners:
        turns = np.array([point for point, _ in itertools.groupby(curve.tolist())])
        np.testing.assert_allclose(turns, case.corners, atol=1e-12)
    for rate, overlap in case.between:
        assert np.interp(rate, *curve.T) == pytest.approx(overlap)
    if case.shares is not None:
        assert np.concatenate(region_shares(case.masks)) == pytest.approx(case.shares)
    assert case.normals is None or sweep.negatives == case.normals


def test_d13_four_neighbours_would_make_two_regions(monkeypatch):
    monkeypatch.setattr(regions, "EIGHT_NEIGHBOURS", ndimage.generate_binary_structure(2, 1))
    assert region_shares(DIAGONAL)[0] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    maps = PIXELS["d13_touching_at_a_corner"].maps
    assert pixel_aupro(DIAGONAL, maps) == pytest.approx(0.542677, abs=1e-6)


def test_d08_and_d11_the_aupro_of_dinomaly_differs():
    case = PIXELS["d08_two_regions"]
    assert dinomaly200_aupro(case.masks, case.maps.astype(float)) == pytest.approx(0.5, abs=1e-6)
    assert np.isnan(dinomaly200_aupro(SMALL, PIXELS["d11_two_values"].maps))


@pytest.mark.parametrize(
    ("saturation", "values"),
    [
        pytest.param(4, {0.05: 0.5, 0.1: 0.5, 0.3: 0.5, 1.0: 0.5}, id="d22_saturated"),
        pytest.param(8, {0.05: 0.25, 0.1: 0.25, 0.3: 0.416667, 1.0: 0.475}, id="d22_whole_area"),
    ],
)
def test_spro_of_two_channels(saturation, values):
    scores = np.arange(20, 0, -1, dtype=float).reshape(4, 5)
    first, second = np.zeros((2, 4, 5), dtype=bool)
    first[:2, :4] = second[3, 3:] = True
    sweep = channel_sweep([[Channel(first, saturation), Channel(second, 2)]], scores[None])
    for limit, value in values.items():
        assert sweep.aupro(limit) == pytest.approx(value, abs=1e-6)


def test_d23_saturation_areas():
    relative = [saturation_area(area, 0.5, relative=True) for area in (100, 101, 1)]
    assert relative == [50, 50, 1]
    assert [saturation_area(area, 300, relative=False) for area in (100, 500)] == [100, 300]


def interpolated(mask, size, how):
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.resize((size, size), how))


def test_d26_a_resized_defect_keeps_its_area():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:6, 2:6] = True
    bilinear = interpolated(mask, 4, Image.Resampling.BILINEAR)
    outer, inner = [5, 32, 32, 5], [32, 195, 195, 32]
    assert bilinear.tolist() == [outer, inner, inner, outer]
    # Where interpolated masks are cut decides between 16, 4 and 0 pixels, so ours are not interpolated.
    assert [(bilinear > 0).sum(), (bilinear > 127).sum(), (bilinear == 255).sum()] == [16, 4, 0]
    for rule in ("half", "any"):
        np.testing.assert_array_equal(resize_mask(mask, 4, rule), bilinear > 127)
    np.testing.assert_array_equal(
        interpolated(mask, 4, Image.Resampling.NEAREST) == 255, bilinear > 127
    )


def test_d27_a_single_pixel_vanishes_under_half_and_stays_under_any():
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    assert interpolated(mask, 2, Image.Resampling.BILINEAR).tolist() == [[47, 0], [0, 0]]
    assert not interpolated(mask, 2, Image.Resampling.NEAREST).any()
    assert not resize_mask(mask, 2).any()
    assert resize_mask(mask, 2, "any").tolist() == [[True, False], [False, False]]
