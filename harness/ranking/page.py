"""HTML page of a ranking: thumbnails and anomaly maps, most suspicious first, with a tick box per image to remove.

The page needs no network.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from PIL import Image

from harness.evaluation.overlay import overlay
from harness.images import read_rgb, source
from harness.ranking.ranking import THUMBNAIL, Ranking


def render(ranking: Ranking) -> str:
    """Return the HTML page of a ranking."""
    environment = Environment(
        loader=PackageLoader("harness.ranking"), autoescape=select_autoescape()
    )
    low, high = np.quantile(ranking.maps_NSS, [0.5, 0.999])
    cards = []
    for place, (name, score) in enumerate(zip(ranking.images, ranking.scores_N, strict=True)):
        image = read_rgb(source(ranking.folder / name, ranking.white)).resize(
            (THUMBNAIL, THUMBNAIL)
        )
        intensity_SS = np.clip((ranking.maps_NSS[place] - low) / max(high - low, 1e-12), 0, 1)
        cards.append(
            {
                "rank": place + 1,
                "name": name,
                "score": f"{score:.4f}",
                "image": _data_address(image),
                "map": _data_address(overlay(image, intensity_SS)),
            }
        )
    return environment.get_template("ranking.html").render(folder=ranking.folder.name, cards=cards)


def _data_address(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
