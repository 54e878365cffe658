"""Figures, tables and pages of studies, from tracked results alone; stems as in `sweeps`."""
