"""The main table of MeDS: noise-robust baselines, and every network as its authors train it and under MeDS.

A profile of the paper has the baselines with their authors' encoders (`baselines.presets`); any other has them on its
own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from baselines.patchcore import PatchCore
from baselines.presets import Released
from baselines.softpatch import SoftPatch
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from sweeps.profile import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """All cells of the table, method by method."""
    return [
        replace(
            profile.experiment(method.detector, ratio, evaluation=method.evaluation),
            encoder=method.encoder,
        )
        for method in _methods(profile)
        for ratio in profile.noise_ratios
    ]


def _methods(profile: Profile) -> Iterator[Released]:
    own = Released(encoder=profile.encoder, detector=profile.plain, evaluation=Evaluation())
    if profile.released is not None:
        yield from profile.released
    else:
        for detector in (profile.inreach, PatchCore(), SoftPatch(), profile.fun_ad):
            yield replace(own, detector=detector)
    yield own
    yield replace(own, detector=profile.meds)
    for pair in profile.others:
        yield replace(own, encoder=pair.encoder, detector=pair.plain)
        yield replace(own, encoder=pair.encoder, detector=pair.meds)
