"""Nearest-neighbour distances between images."""

from harness.distances.pairwise import Precision, block_distances, image_distances

__all__ = ["Precision", "block_distances", "image_distances"]
