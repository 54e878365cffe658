"""Figures, tables and pages of studies, from tracked results alone. A module has the name of its study in `sweeps`."""
