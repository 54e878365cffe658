"""FUN-AD's discriminator as a torch module, which other programs can run."""

from __future__ import annotations

from torch import Tensor, nn

from harness.features.tensors import FeatureTensors


class PatchesAlone(nn.Module):
    """Module that scores the memory features of a batch by a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: FeatureTensors) -> Tensor:
        """Compute patch scores [B, P]."""
        return self.network(features.memory_BPC)
