"""A whole fitted detector as one torch module: pixels in, anomaly map and image score out.

Legend: B images in a batch, H pixels per side of a resized image, P = G x G patches, S pixels per side of the map.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.anomaly_maps import WINDOW, MapSettings, map_matrix
from harness.features.backbone import load_model
from harness.features.encoder import Encoder
from harness.features.tensors import FeatureTensors, encode_tensors


class EncoderGraph(nn.Module):
    """Module from resized images, uint8 [B, H, H, 3], to features rounded as in the feature store."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = replace(encoder, precision="single")
        self.model: Any = None
        if encoder.features:
            # A copy, since the model in the cache may be on a GPU and serves other callers.
            self.model = copy.deepcopy(load_model(encoder)).cpu()
            for module in self.model.modules():
                if hasattr(module, "inplace"):  # torch.export takes twice as long with it
                    module.inplace = False

    def forward(self, image_BHH3: Tensor) -> FeatureTensors:
        """Cut the centre of images and encode it."""
        start = (self.encoder.image_size - self.encoder.input_size) // 2
        inside = slice(start, start + self.encoder.input_size)
        pixels_B3HW = image_BHH3[:, inside, inside].permute(0, 3, 1, 2).float()
        if self.model is None:
            return FeatureTensors(pixels_B3HW[:, :1, :1, 0] * 0, (), None, pixels_B3HW)
        features = encode_tensors(self.encoder, self.model, pixels_B3HW).stored()
        return features._replace(pixels_B3HW=pixels_B3HW)


class MapGraph(nn.Module):
    """Module from patch scores [B, P] to what `harness.anomaly_maps` computes: maps [B, S, S] and image scores [B]."""

    matrix_SG: Tensor

    def __init__(self, rule: MapSettings, *, patches: int, input_size: int, size: int) -> None:
        super().__init__()
        self.rule, self.grid = rule, math.isqrt(patches)
        matrix_SG = map_matrix(self.grid, input_size, size, rule)
        self.register_buffer("matrix_SG", torch.from_numpy(matrix_SG).float())

    def forward(self, scores_BP: Tensor) -> tuple[Tensor, Tensor]:
        """Compute maps and image scores."""
        grid_BGG = scores_BP.unflatten(1, (self.grid, self.grid))
        map_BSS = self.matrix_SG @ grid_BGG @ self.matrix_SG.T
        return map_BSS, self._image_scores(scores_BP, map_BSS)

    def _image_scores(self, scores_BP: Tensor, map_BSS: Tensor) -> Tensor:
        if self.rule.image == "patches":
            return scores_BP.amax(dim=1)
        if self.rule.image == "window":
            side = min(WINDOW, map_BSS.shape[-1])
            return functional.avg_pool2d(map_BSS[:, None], side, stride=1).amax(dim=(1, 2, 3))
        pixels_BN = scores_BP if self.rule.image == "top_patches" else map_BSS.flatten(1)
        if self.rule.image == "map":
            return pixels_BN.amax(dim=1)
        count = max(1, int(pixels_BN.shape[1] * self.rule.top_percent / 100))
        return pixels_BN.topk(count, dim=1).values.mean(dim=1)


class DetectorGraph(nn.Module):
    """Module from resized images, uint8 [B, H, H, 3], to maps [B, S, S] and image scores [B]."""

    def __init__(self, encoder: EncoderGraph, scorer: nn.Module, maps: MapGraph) -> None:
        super().__init__()
        self.encoder, self.scorer, self.maps = encoder, scorer, maps

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Compute maps and image scores; exported programs name the input as this argument."""
        return self.maps(self.scorer(self.encoder(image)))
