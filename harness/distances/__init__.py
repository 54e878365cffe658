"""Nearest-neighbour distances between images."""

from harness.distances.gpu import release_images
from harness.distances.kernels import Distance
from harness.distances.pairwise import Precision, block_distances, image_distances
from harness.distances.stored import StoredImages

__all__ = [
    "Distance",
    "Precision",
    "StoredImages",
    "block_distances",
    "image_distances",
    "release_images",
]
