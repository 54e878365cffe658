"""The main table of MeDS on Real-IAD (Table 3).   make sweep-real_iad DATA=folder

Each category of Real-IAD has a separate network, at 0, 10, 20 and 40 % noise. The methods are PatchCore, reverse
distillation, UniAD, SoftPatch, and Dinomaly with and without MeDS. The study has 720 experiments. `--protocol` selects
the contamination. The official noisy lists are separate datasets (`RealIAD.lists`) and are not used here. Expect MeDS
ahead at every noise ratio, by little without contamination.
"""

from __future__ import annotations

from sweeps.mvtec_ad import experiments

PROFILE = "real_iad"
"""Default profile of the study."""

__all__ = ["PROFILE", "experiments"]
