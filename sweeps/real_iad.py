"""The main table of MeDS on Real-IAD (Table 3).   make sweep-real_iad DATA=folder

Every category of Real-IAD in a network of its own, at 0, 10, 20 and 40 % noise: PatchCore, reverse distillation, UniAD,
SoftPatch, and Dinomaly with and without MeDS. 720 experiments. The contamination is --protocol's, not the official
noisy lists, which are datasets of their own (`RealIAD.lists`). Expect MeDS ahead at every noise ratio, by little
without contamination.
"""

from __future__ import annotations

from sweeps.mvtec_ad import experiments

PROFILE = "real_iad"
"""Where it runs unless it is told otherwise."""

__all__ = ["PROFILE", "experiments"]
