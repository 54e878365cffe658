"""The main table of MeDS on MVTec AD (Table 1).   make sweep-mvtec_ad DATA=folder

All categories of MVTec AD in one network, at 0, 10, 20 and 40 % noise: SoftPatch, InReaCh, FUN-AD, and HVQ-Trans,
Dinomaly and INP-Former with and without MeDS. 36 experiments. Expect MeDS to lose little without contamination and to
stay where it is with it, while the networks alone fall by 5 to 15 points of image AUROC at 40 %.
"""

from __future__ import annotations

from sweeps.main_table import experiments

PROFILE = "mvtec_ad"
"""Where it runs unless it is told otherwise."""

__all__ = ["PROFILE", "experiments"]
