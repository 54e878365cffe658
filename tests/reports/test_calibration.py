"""Captions name what results assume about the images that calibrate a method."""

from reports.pages.captions import full_caption, short_caption
from tests.reports.test_own_data import ONE, experiments
from tests.support.tracked_rows import tracked_rows

ASSUMED = "Calibrated on the split validation, which is assumed to be clean at every noise ratio: AD2, EfficientAD."


def test_a_clean_validation_set_is_named_where_a_method_calibrates_on_one():
    rows = tracked_rows(experiments("loco", ONE, 1), categories=ONE)
    for caption in (full_caption(rows), short_caption(rows, "all")):
        assert "Calibrated" not in caption
    of_ad2, of_efficient = (rows["detector"] == name for name in ("AD2", "EfficientAD"))
    rows.loc[of_ad2, "detector.student.clean_validation"] = "True"
    rows.loc[of_efficient, "detector.clean_validation"] = "True"
    for caption in (full_caption(rows), short_caption(rows, "all")):
        assert ASSUMED in caption
    assert "Calibrated" not in full_caption(rows[~of_ad2 & ~of_efficient])
