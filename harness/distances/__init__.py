"""Nearest-neighbour distances between images."""

from harness.distances.kernels import Distance
from harness.distances.pairwise import Precision, block_distances, image_distances

__all__ = ["Distance", "Precision", "block_distances", "image_distances"]
