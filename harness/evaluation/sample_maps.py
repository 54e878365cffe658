"""Sheets of anomaly maps over a few test images, for visual inspection next to the metrics.

The images of the first sheet are the same for every detector, because they are chosen by labels and digests, never by
scores. The second sheet has the worst misses and false alarms of one detector.

Legend: N images, P patches, T side of a tile in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import binary_dilation

from harness import anomaly_maps as maps
from harness.anomaly_maps import MapSettings
from harness.datasets import GOOD, Dataset, image_sources
from harness.evaluation.overlay import overlay
from harness.evaluation.readouts import Evaluation, read_masks, with_rule
from harness.features.encoder import Encoder

TILE = 112
"""Side of an image on the sheet, in pixels."""
ANOMALOUS = 3
"""Maximum number of anomalous images per category on the sheet."""
WORST = 3
"""Maximum number of misses, and of false alarms, per category on the sheet of the worst images."""
OUTLINE = (0, 230, 230)
"""RGB colour of the outline of a mask."""
PLACE = ["image", "left", "top", "width", "height"]
"""Columns of the place of an image on a sheet."""


@dataclass(frozen=True)
class Sheet:
    """Sheet of images with their maps."""

    image: Image.Image
    """Picture of all tiles; each test image has two tiles side by side."""
    places: pd.DataFrame
    """Columns image, left, top, width, height: place of each test image and its map on the sheet, in pixels."""


def choose(test: pd.DataFrame) -> list[int]:
    """Return positions of a category's sample images: one normal image, then anomalous images.

    The anomalous images show as many different defects as possible.

    Args:
        test: Rows of one category in the sample table, with the column `digest`.
    """
    ordered = test.reset_index(drop=True).sort_values("digest")
    normal = ordered[ordered["defect"] == GOOD]
    anomalous = ordered[ordered["defect"] != GOOD]
    turns = anomalous.groupby(
        "defect"
    ).cumcount()  # all defects' first images precede any second image
    anomalous = anomalous.assign(turn=turns).sort_values(["turn", "defect"], kind="stable")
    return [*normal.index[:1], *anomalous.index[:ANOMALOUS]]


def choose_worst(test: pd.DataFrame) -> list[int]:
    """Return positions of a category's worst misses and false alarms.

    First come the defective images with the lowest scores, then the normal images with the highest scores.

    Args:
        test: Rows of one category in the sample table, with the columns `digest` and `score`.
    """
    ordered = test.reset_index(drop=True).sort_values(["score", "digest"], kind="stable")
    normal = ordered.index[ordered["defect"] == GOOD]
    anomalous = ordered.index[ordered["defect"] != GOOD]
    return [*anomalous[:WORST], *normal[::-1][:WORST]]


def sheet(
    evaluation: Evaluation,
    *,
    dataset: Dataset,
    encoder: Encoder,
    test: pd.DataFrame,
    scores_NP: np.ndarray,
    rule: MapSettings,
    data: Path,
    picks_of: Callable[[pd.DataFrame], list[int]] = choose,
) -> Sheet:
    """Draw a sheet, one row per category: each chosen image with its mask outlined, then with its map overlaid.

    The colours of the maps range from the median to the 99.9th percentile of the category's patch scores. `picks_of`
    returns the positions of the chosen images of a category. The other arguments are those of
    `harness.evaluation.evaluate`.
    """
    scores_NP, rule = with_rule(evaluation, scores_NP, rule)
    rows, places = [], []
    for top, category in enumerate(sorted(test["category"].unique())):
        of_category = (test["category"] == category).to_numpy()
        group, own_NP = test[of_category], scores_NP[of_category]
        picks = picks_of(group)
        names = group["image"].iloc[picks]
        places += [
            (name, 2 * TILE * left, TILE * top, 2 * TILE, TILE) for left, name in enumerate(names)
        ]
        low, high = np.quantile(rule.patches(own_NP), [0.5, 0.999])
        maps_NTT = maps.anomaly_maps(
            own_NP[picks], input_size=encoder.input_size, size=TILE, rule=rule
        )
        intensity_NTT = np.clip((maps_NTT - low) / max(high - low, 1e-12), 0, 1)
        masks = tuple(data / m if isinstance(m, str) else None for m in group["mask"].iloc[picks])
        mask_rule = evaluation.mask_rule
        read = read_masks(masks, dataset.mask_above, encoder, evaluation.size, (mask_rule,))
        masks_NSS = read[mask_rule]
        images = [_tile(encoder.read(image)) for image in image_sources(group.iloc[picks], data)]
        tiles = [
            tile
            for image, mask_SS, intensity_TT in zip(images, masks_NSS, intensity_NTT, strict=True)
            for tile in (_outlined(image, mask_SS), np.asarray(overlay(image, intensity_TT)))
        ]
        rows.append(tiles)
    return Sheet(_stacked(rows), pd.DataFrame(places, columns=PLACE))


def _stacked(rows: list[list[np.ndarray]]) -> Image.Image:
    """Return rows of tiles as one picture, with white tiles where a row has fewer than others."""
    most = max(map(len, rows))
    blank = np.full((TILE, TILE, 3), 255, np.uint8)
    return Image.fromarray(
        np.vstack([np.hstack([*tiles, *[blank] * (most - len(tiles))]) for tiles in rows])
    )


def _tile(pixels_CHW: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels_CHW.transpose(1, 2, 0)))
    return image.resize((TILE, TILE), Image.Resampling.BILINEAR)


def _outlined(image: Image.Image, mask_SS: np.ndarray) -> np.ndarray:
    small = Image.fromarray(mask_SS).resize((TILE, TILE), Image.Resampling.NEAREST)
    mask_TT = np.asarray(small)
    pixels = np.array(image)
    pixels[binary_dilation(mask_TT) & ~mask_TT] = OUTLINE
    return pixels
