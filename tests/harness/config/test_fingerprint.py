"""Texts that keys are made of: as `repr`, but for settings that came later and are not used."""

import dataclasses
from dataclasses import dataclass

import pytest

from harness.config.fingerprint import added_field, canonical_repr
from harness.config.moved import RECORDED_NAMES
from sweeps.profiles import PROFILES


@dataclass(frozen=True)
class Before:
    share: float = 0.1


@dataclass(frozen=True)
class Now:
    share: float = 0.1
    starts: int = added_field(10)


ADDED = (
    ", betas=(0.9, 0.999)",
    ", listed=None",
    ", images=None",
    ", adaptive=None",
    ", modes=1",
    ", scores='network'",
    ", partner=None",
)
"""Settings of profiles that were added later, with their defaults."""


def named(value, name):
    return canonical_repr(value).replace(type(value).__qualname__, name)


def test_an_added_setting_counts_when_it_is_used_and_not_before():
    assert named(Now(), "Sampler") == named(Before(), "Sampler")
    assert canonical_repr((Now(),)) == "(tests.Now(share=0.1),)"
    assert canonical_repr(Now(starts=5)) == "tests.Now(share=0.1, starts=5)"
    assert canonical_repr(Now(share=0.2)) != canonical_repr(Now())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_text_of_a_profile_says_all_that_is_not_added(profile):
    """The text is the `repr` without added settings and with recorded names; every other changed setting shows."""
    for value in (profile.dataset, profile.meds, profile.plain, profile.noise):
        text = repr(value)
        for added in ADDED:
            text = text.replace(added, "")
        for name, recorded in RECORDED_NAMES.items():
            text = text.replace(f"{name}(", f"{recorded}(")
        assert canonical_repr(value) == text
    for field in dataclasses.fields(profile.meds.memory):
        if field.name in ("size", "seed"):
            changed = dataclasses.replace(profile.meds.memory, **{field.name: 7})
            assert canonical_repr(changed) != canonical_repr(profile.meds.memory)


def test_keys_of_published_results_stay():
    """A change here makes finished experiments of all users unfinished: mark new settings with `added_field`."""
    laptop = PROFILES["laptop"]
    assert laptop.experiment(laptop.meds, 0.2, seed=1).key == "b0681b52e501e66a82410b25"
    assert laptop.experiment(laptop.plain, 0.0).key == "3a2c050407f9ac8b6bbd3b25"
