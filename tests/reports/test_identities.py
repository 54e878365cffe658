"""Looks of methods in figures: readable on both grounds, and different for every common kind of colour vision."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from reports.plots.style import IDENTITIES, identities
from sweeps import rho
from sweeps.profiles import PROFILES

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of linear red, green and blue in the relative luminance of WCAG 2."""
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Linear colours as seen with each vision (Machado, Oliveira and Fernandes 2009, severity 1)."""
GROUNDS = {"colour": "#ffffff", "on_dark": "#1b1b1b"}


def linear(colour: str) -> np.ndarray:
    """Return linear red, green and blue in 0..1 of an sRGB colour."""
    values = np.array(to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("ground", GROUNDS)
def test_every_colour_has_a_contrast_of_three_on_its_ground(ground):
    behind = linear(GROUNDS[ground]) @ LUMINANCE
    for title, look in IDENTITIES.items():
        dark, light = sorted((behind, linear(getattr(look, ground)) @ LUMINANCE))
        assert (light + 0.05) / (dark + 0.05) >= 3, title


def test_no_two_methods_share_marker_and_dash():
    looks = [(look.marker, look.dash) for look in IDENTITIES.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("strangers", [1, len(IDENTITIES), 3 * len(IDENTITIES)])
def test_methods_of_plug_ins_are_distinct_however_many_there_are(strangers):
    names = [*IDENTITIES, "MeDS, ρ 0.2", *(f"stranger {i}" for i in range(strangers))]
    looks = identities(names)
    assert list(looks) == names
    assert len(set(looks.values())) == len(names)
    few = identities(["MeDS", *(f"stranger {i}" for i in range(strangers))])
    assert len(set(few.values())) == strangers + 1


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("ground", GROUNDS)
def test_no_two_colours_are_the_same_to_any_reader(vision, ground):
    seen = {
        title: np.array(VISION[vision]) @ linear(getattr(look, ground))
        for title, look in IDENTITIES.items()
    }
    for one, other in combinations(seen, 2):
        assert np.abs(seen[one] - seen[other]).max() > 0.015, (one, other)


@pytest.mark.parametrize("profile", ["laptop", "mtd", "mvtec_ad"])
def test_methods_of_the_first_figure_keep_their_looks_when_others_join(profile):
    titles = {each.detector.title for each in rho.experiments(PROFILES[profile])}
    assert titles <= set(IDENTITIES)
    assert identities([*titles, "PatchCore", "a stranger"]).items() >= identities(titles).items()
