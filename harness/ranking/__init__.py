"""Ranking of the images of an unlabelled folder, the most suspect first."""
