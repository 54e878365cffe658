"""Plots of curves and of single training seeds, and the style of all figures."""
