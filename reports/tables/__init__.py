"""Cells, labels, and means over categories."""
