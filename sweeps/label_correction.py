"""Label correction: how early a ranking of training images finds the contaminated ones (MeDS, Fig. 7, Table 30).

make sweep-label_correction. The plain network and MeDS run at every noise ratio of the profile above zero. Expect MeDS
to rank fewer clean images before the last contaminated image than the plain network does, at every ratio.
"""

from __future__ import annotations

from harness.evaluation import Evaluation
from harness.experiment import Experiment
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
    return [
        profile.experiment(detector, ratio, evaluation=Evaluation(ranking=True))
        for detector in (profile.plain, profile.meds)
        for ratio in profile.noise_ratios
        if ratio > 0
    ]
