"""Nearest neighbours in a memory bank as a torch module, which other programs can run.

Legend: B images in a batch, P patches, R patches of the memory bank, C channels, K neighbours.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from harness.errors import InputError
from harness.features.tensors import FeatureTensors

MOST_BYTES = 2**30
"""Largest memory bank that is exported, in bytes; a file of ONNX holds 2 GiB."""


class BankGraph(nn.Module):
    """Module that computes what `baselines.patch_bank.banks.BankScorer.score_patches` computes for one memory bank."""

    rows_RC: Tensor
    half_R: Tensor
    weights_R: Tensor | None

    def __init__(
        self,
        rows: np.ndarray,
        weights: np.ndarray | None,
        *,
        neighbours: int,
        reweight: int,
        squared: bool,
    ) -> None:
        super().__init__()
        rows_RC = torch.tensor(rows, dtype=torch.float32)
        if rows_RC.nbytes > MOST_BYTES:
            raise InputError(
                f"The memory bank has {len(rows_RC):,} patches, {rows_RC.nbytes / 2**30:.1f} GiB. At most "
                f"{MOST_BYTES / 2**30:g} GiB can be exported. Fit the detector with a smaller coreset: the "
                "published values of coreset_ratio are 0.25, 0.1 and 0.01."
            )
        weights_R = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("rows_RC", rows_RC)
        self.register_buffer("half_R", rows_RC.square().sum(dim=1) / 2)
        self.register_buffer("weights_R", weights_R)
        self.neighbours = min(neighbours, len(rows_RC))
        self.reweight = min(reweight, len(rows_RC))
        self.squared = squared

    def forward(self, features: FeatureTensors) -> Tensor:
        """Compute patch scores [B, P]."""
        queries_BPC = features.memory_BPC
        squares_BPK, order_BPK = self._nearest(queries_BPC, self.neighbours)
        distances_BPK = squares_BPK if self.squared else squares_BPK.sqrt()
        scores_BP = distances_BPK.mean(dim=-1)
        if self.weights_R is not None:
            scores_BP = scores_BP * self.weights_R[order_BPK[..., 0]]
        if self.reweight > 1:
            scores_BP = scores_BP * self._image_weights(queries_BPC, scores_BP, order_BPK[..., :1])
        return scores_BP

    def _nearest(self, queries_BPC: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
        """Return squared distances, ascending, and their patches [B, P, K]; see `patch_bank.nearest`."""
        affinity_BPR = queries_BPC @ self.rows_RC.T - self.half_R
        order_BPK = affinity_BPR.topk(neighbours, dim=-1).indices
        squares_BPK = torch.stack(
            [
                (queries_BPC - self.rows_RC[order_BPK[..., k]]).square().sum(dim=-1)
                for k in range(neighbours)
            ],
            dim=-1,
        )
        squares_BPK, places_BPK = squares_BPK.topk(neighbours, dim=-1, largest=False)
        return squares_BPK, order_BPK.gather(-1, places_BPK)

    def _image_weights(self, queries_BPC: Tensor, scores_BP: Tensor, nearest_BP1: Tensor) -> Tensor:
        """Compute the weight [B, 1] of every image; see `baselines.patch_bank.banks.image_weight`."""
        worst_B11 = scores_BP.argmax(dim=1)[:, None, None]
        query_B1C = queries_BPC.gather(1, worst_B11.expand(-1, 1, queries_BPC.shape[-1]))
        in_bank_B1C = self.rows_RC[nearest_BP1.gather(1, worst_B11)[..., 0]]
        _, around_B1K = self._nearest(in_bank_B1C, self.reweight)
        away_BK = (query_B1C - self.rows_RC[around_B1K[:, 0]]).square().sum(dim=-1).sqrt()
        return 1 - 1 / (away_BK - away_BK[:, :1]).exp().sum(dim=1, keepdim=True)
