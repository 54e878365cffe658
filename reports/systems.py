"""Every system that the papers compare, in one table.   make figure-systems"""

from __future__ import annotations

from reports.baselines import draw, summary, table

TITLE = "Every system under contamination"
CAPTION = (
    "Figure: all test images, and only those anomalies that were not trained on; a band is a standard deviation on "
    "either side of the mean over training seeds. Reverse distillation, UniAD, MeDS and the plain network have one "
    "network for all categories; the others learn each category apart, unless their name says all categories. On the "
    "profiles laptop, smoke and mtd all are smaller than published, and trained shorter."
)
READOUT = "all and unseen"

__all__ = ["CAPTION", "READOUT", "TITLE", "draw", "summary", "table"]
