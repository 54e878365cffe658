"""Main table of MeDS on VisA (Table 2).   make figure-visa"""

from __future__ import annotations

from reports.mvtec_ad import CAPTION, draw, summary, table

TITLE = "Methods under contamination on VisA"
PROFILE = "visa"

__all__ = ["CAPTION", "PROFILE", "TITLE", "draw", "summary", "table"]
