"""HTML page of a ranking: pictures and anomaly maps, most suspicious first, with a tick box per image to remove.

The page needs no network. It opens from disk and finds its pictures in the folder beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape

from harness.evaluation.overlay import OPACITY
from harness.ranking.pictures import (
    FOLDER,
    LARGE,
    LARGE_COUNT,
    Picture,
    remove_other_pictures,
    write_pictures,
)
from harness.ranking.ranking import Ranking

PAGE = "ranking.html"
"""Name of the page's file."""


def write(ranking: Ranking, out: Path) -> None:
    """Write the page of a ranking and the folder with its pictures.

    Args:
        ranking: Ranking to show.
        out: Folder for the page; it is made if it does not exist.

    Raises:
        InputError: an image cannot be read.
    """
    pictures = write_pictures(ranking, out / FOLDER)
    draft = out / f"{PAGE}.draft"
    draft.write_text(_render(ranking, pictures), encoding="utf-8")
    draft.replace(out / PAGE)
    remove_other_pictures(out / FOLDER, pictures)


def _render(ranking: Ranking, pictures: Sequence[Picture]) -> str:
    environment = Environment(
        loader=PackageLoader("harness.ranking"), autoescape=select_autoescape()
    )
    return environment.get_template("ranking.html").render(
        folder=ranking.folder.name,
        pictures=FOLDER,
        nearest=ranking.nearest_N is not None,
        digest=_digest(ranking),
        cards=list(_cards(ranking, pictures)),
        categories=sorted(set(ranking.categories_N or ())),
        opacity=round(100 * OPACITY),
        large_count=LARGE_COUNT,
        large_side=LARGE,
    )


def _digest(ranking: Ranking) -> str:
    """Return a digest of names and scores; the browser keeps ticks under it."""
    content = json.dumps([ranking.images, ranking.scores_N.tolist()])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _cards(ranking: Ranking, pictures: Sequence[Picture]) -> Iterator[dict[str, Any]]:
    for place, name in enumerate(ranking.images):
        nearest = -1 if ranking.nearest_N is None else int(ranking.nearest_N[place])
        yield {
            "name": name,
            "score": float(ranking.scores_N[place]),
            "category": ranking.categories_N[place] if ranking.categories_N else None,
            "picture": pictures[place],
            "nearest": nearest,
            "nearest_picture": pictures[nearest] if nearest >= 0 else None,
        }
