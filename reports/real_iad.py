"""Main table of MeDS on Real-IAD (Table 3).   make figure-real_iad"""

from __future__ import annotations

from reports.mvtec_ad import CAPTION, draw, summary, table

TITLE = "Methods under contamination on Real-IAD"
PROFILE = "real_iad"

__all__ = ["CAPTION", "PROFILE", "TITLE", "draw", "summary", "table"]
