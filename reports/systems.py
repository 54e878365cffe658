"""Table of every system that the papers compare.   make figure-systems"""

from __future__ import annotations

from reports.baselines import draw, summary, table

TITLE = "Every system under contamination"
CAPTION = (
    "Figure: one panel for all test images, one without the anomalies that were in the training images. A band extends "
    "one standard deviation on either side of the mean over training seeds. Reverse distillation, UniAD, LLBNAD, "
    "CoMet, MeDS and the plain network train one network for all categories. The other methods train one model per "
    'category, unless their name contains "all categories". On the profiles laptop, smoke and mtd, all systems are '
    "smaller than published and trained shorter."
)
READOUT = "all and unseen"

__all__ = ["CAPTION", "READOUT", "TITLE", "draw", "summary", "table"]
