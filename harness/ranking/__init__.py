"""Ranking of the images in an unlabelled folder, most suspicious first."""
