"""The main table of MeDS on VisA (Table 2).   make sweep-visa DATA=folder

One network learns all categories of VisA, at 0, 2, 5 and 10 % noise. The methods are SoftPatch, InReaCh, FUN-AD, and
HVQ-Trans, Dinomaly and INP-Former with and without MeDS. The study has 36 experiments. Expect the same order of methods
as on MVTec AD, with smaller differences.
"""

from __future__ import annotations

from sweeps.mvtec_ad import experiments

PROFILE = "visa"
"""Default profile of the study."""

__all__ = ["PROFILE", "experiments"]
