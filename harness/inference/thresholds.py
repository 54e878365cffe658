"""Thresholds of a fitted detector, which need no label: the rules that studies measure, in words for a card."""

from __future__ import annotations

import numpy as np

from harness.evaluation.thresholds import (
    RULES,
    Basis,
    FalseAlarms,
    MedianMAD,
    Quantile,
    ThresholdRule,
    label_free,
)
from harness.inference.detector import Threshold

DEFAULT = MedianMAD()
"""Rule of the default threshold."""


def label_free_thresholds(scores_N: np.ndarray, *, left_out: bool) -> tuple[Threshold, ...]:
    """Return the thresholds that the scores of training images give; the first one is the default.

    Args:
        scores_N: Image scores of the training images.
        left_out: True if no score compares an image with the image itself.

    Raises:
        InputError: there is no score, or one is NaN or infinite.
    """
    basis: Basis = "left_out" if left_out else "fitted"
    how = (
        "Every training image was scored as if it were new."
        if left_out
        else "The method has learnt from the images that it scored, so new normal images score higher than these."
    )
    found = []
    for rule in (DEFAULT, *(rule for rule in RULES if rule != DEFAULT)):
        for made in label_free((rule,), {basis: scores_N}):
            meaning = f"{_meaning(rule, len(scores_N))} {how}"
            found.append(Threshold(made.rule, made.value, meaning))
    return tuple(found)


def _meaning(rule: ThresholdRule, images: int) -> str:
    if isinstance(rule, MedianMAD):
        return (
            f"Median of the scores of {images} training images plus {rule.deviations:g} robust standard deviations. "
            "Contaminated images move it little while they are few."
        )
    if isinstance(rule, FalseAlarms):
        low, high = rule.interval(images)
        return (
            f"If the {images} training images are clean and like the new ones, {rule.rate:.0%} of new normal images "
            f"reach it ({rule.confidence:.0%} interval: {low:.1%} to {high:.1%})."
        )
    assert isinstance(rule, Quantile)
    return (
        f"Score that {rule.level:.0%} of {images} training images do not exceed. If these images are clean and like "
        f"the new ones, about {1 - rule.level:.0%} of new normal images reach it."
    )
