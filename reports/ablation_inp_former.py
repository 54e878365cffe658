"""Ablation of the stages of MeDS on INP-Former, over training seeds (Table 5).   make figure-ablation_inp_former"""

from __future__ import annotations

from reports.ablation import draw, summary, table
from reports.pages.captions import MEMORY_ALONE
from reports.plots.seeds import CAPTION as OVER_SEEDS

TITLE = "What each stage of MeDS does on INP-Former"
CAPTION = (
    f"{OVER_SEEDS} Baseline: the plain network, trained as its authors do. Random init fine-tune and MeDS select "
    "images with the distilled network; fine-tuned with memory selects images with the memory ensemble. "
    f"{MEMORY_ALONE}"
)

__all__ = ["CAPTION", "TITLE", "draw", "summary", "table"]
