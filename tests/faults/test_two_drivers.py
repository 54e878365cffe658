"""Two drivers on one study at once, on the same store and cache: they share it."""

import pytest

from tests.faults.smoke_study import SmokeStudy, assert_nothing_lost

pytestmark = [pytest.mark.ray, pytest.mark.faults]


def test_two_drivers_at_once_share_a_study(undisturbed, tmp_path):
    """From the first image on: drawing, database, features and experiments, each once."""
    study = SmokeStudy(tmp_path / "runs", tmp_path / "cache")
    with study.start() as first, study.start() as second:
        texts = [driver.communicate()[0] for driver in (first, second)]
    assert not any("Traceback" in text for text in texts), texts
    assert (first.returncode, second.returncode) == (0, 0), texts
    assert_nothing_lost(study, undisturbed.values())
