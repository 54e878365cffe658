"""The main table of MeDS on VisA (Table 2).   make sweep-visa DATA=folder

All categories of VisA in one network, at 0, 2, 5 and 10 % noise: SoftPatch, InReaCh, FUN-AD, and HVQ-Trans, Dinomaly
and INP-Former with and without MeDS. 36 experiments. Expect the order of MVTec AD with smaller differences.
"""

from __future__ import annotations

from sweeps.mvtec_ad import experiments

PROFILE = "visa"
"""Where it runs unless it is told otherwise."""

__all__ = ["PROFILE", "experiments"]
