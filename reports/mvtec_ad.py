"""The main table of MeDS on MVTec AD (Table 1).   make figure-mvtec_ad"""

from __future__ import annotations

from reports.main_table import CAPTION, draw, summary, table

TITLE = "Methods under contamination: the table of MVTec AD"
PROFILE = "mvtec_ad"

__all__ = ["CAPTION", "PROFILE", "TITLE", "draw", "summary", "table"]
