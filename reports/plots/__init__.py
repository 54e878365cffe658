"""Curves, marks of seeds, and the style of all figures."""
