"""Patch scores of a network in evaluation mode, for selection during training and for measurements.

Legend: N images, B images in a batch, P patches.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import nn

from harness.features import ImageSet
from harness.networks import Network
from harness.runtime.compute import DistributedContext
from harness.training.batches import Features, StoredFeatures

TOGETHER = 16
"""Number of images scored in one forward pass on a CPU."""
TOGETHER_ON_GPU = 64
"""Number of images scored in one forward pass on a GPU."""


def forward_precision(network: nn.Module) -> torch.autocast:
    """Return the autocast context of a forward pass: bfloat16 on a GPU if `low_precision` allows it, else float32."""
    device = next(network.parameters()).device
    low = device.type == "cuda" and cast(Network, network).low_precision
    return torch.autocast(device.type, torch.bfloat16, enabled=low)


@torch.no_grad()
def patch_scores(
    network: nn.Module,
    images: ImageSet,
    *,
    world: DistributedContext | None = None,
    features: Features | None = None,
) -> np.ndarray:
    """Compute the patch scores s_theta, float32 [N, P], of an image set in evaluation mode, without random numbers.

    Processes that train together share the work. The chunks do not depend on the number of processes, so the scores are
    the same bit for bit.

    Args:
        network: Network to score with; it stays in evaluation mode.
        images: Image set.
        world: Context of a training; None outside one.
        features: Reader of the image set's features on the network's device; None to create one.
    """
    network.eval()
    device = next(network.parameters()).device
    features = features or StoredFeatures(images, device)
    rank, size = (world.rank, world.size) if world else (0, 1)
    together = TOGETHER_ON_GPU if device.type == "cuda" else TOGETHER
    chunks = [np.arange(i, min(i + together, len(images))) for i in range(0, len(images), together)]
    scores = []
    for rows_B in chunks[rank::size]:
        with forward_precision(network):
            reconstruction = network(features.read(rows_B))
        scores.append(cast(Network, network).score_map(reconstruction))
    mine = [score_map.cpu().numpy() for score_map in scores]  # only now, to keep a GPU busy
    everyone = world.gather(mine) if world else [mine]
    return np.concatenate([everyone[c % size][c // size] for c in range(len(chunks))])
