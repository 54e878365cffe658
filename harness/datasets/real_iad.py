"""Real-IAD (Wang et al., CVPR 2024): thirty categories, five views of every object, split by JSON files.

Each resolution has a folder (realiad_256, realiad_512, realiad_1024, realiad_raw). The images in this folder are
<category>/{OK,NG/<code>}/S0001/*.jpg, and each mask has the stem of its image.

Folders of JSON files, one file per category, define the splits. These are the base sets (all views, or a single view)
and the official noisy lists (FUIAD). The folders are next to the image folders or nested in `realiad_jsons`. The label
of an image comes from the JSON file, never from the image's folder: 26,881 views in NG folders show no defect.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from harness.datasets import GOOD, Counts, choose, make_table, require_folder
from harness.errors import InputError

OBJECT = re.compile(r"([a-zA-Z][a-zA-Z0-9_]*_[0-9]{4}_[A-Z][A-Z_]*[A-Z])_C[0-9]_")
"""Pattern of an object's category, number and class in the file name of each view."""
KEYS = {"meta", "train", "test"}
ITEM_KEYS = {"category", "anomaly_class", "image_path", "mask_path"}


@dataclass(frozen=True, kw_only=True)
class RealIAD:
    """Real-IAD, with one row per view.

    `defect` is the code of the anomaly class; `object` is the part of the name that all views of an object share.
    """

    lists: Literal[
        "realiad_jsons",
        "realiad_jsons_sv",
        "realiad_jsons_fuiad_0.0",
        "realiad_jsons_fuiad_0.1",
        "realiad_jsons_fuiad_0.2",
        "realiad_jsons_fuiad_0.4",
    ] = "realiad_jsons"
    """Set of JSON files: all views, a single view, or an official noisy training list."""
    resolution: Literal["realiad_256", "realiad_512", "realiad_1024", "realiad_raw"] = (
        "realiad_1024"
    )
    """Resolution of the images: the folder to read them from."""
    categories: tuple[str, ...] | None = None
    """Categories to use; None for all categories that have a JSON file."""

    name = "real_iad"
    source = (
        "Real-IAD (CC BY-NC-SA 4.0) is available from its authors on request: realiad4ad.github.io/Real-IAD. Unpack "
        "one resolution and realiad_jsons.zip into one folder."
    )
    mask_above = 127
    base_counts: ClassVar[Counts] = {
        "audiojack": (1235, 2519, 1296),
        "bottle_cap": (1230, 2154, 1631),
        "button_battery": (1210, 1640, 2150),
        "end_cap": (1205, 1622, 2183),
        "eraser": (1230, 2347, 1488),
        "fire_hood": (1255, 2420, 1350),
        "mint": (835, 2371, 2099),
        "mounts": (1250, 2462, 1338),
        "pcb": (1235, 1486, 2289),
        "phone_battery": (1210, 2240, 1550),
        "plastic_nut": (1255, 2509, 1246),
        "plastic_plug": (1215, 2361, 1419),
        "porcelain_doll": (1210, 2535, 1255),
        "regulator": (1245, 2775, 1080),
        "rolled_strip_base": (1245, 1280, 2525),
        "sim_card_set": (1245, 1716, 2069),
        "switch": (1230, 1826, 1994),
        "tape": (1250, 2407, 1443),
        "terminalblock": (1220, 1822, 2008),
        "toothbrush": (1225, 1753, 2027),
        "toy": (1250, 1585, 2190),
        "toy_brick": (1240, 2234, 1536),
        "transistor1": (1245, 1638, 2117),
        "u_block": (1250, 2526, 1214),
        "usb": (1230, 2066, 1754),
        "usb_adaptor": (1155, 2340, 1520),
        "vcpill": (1260, 2295, 1470),
        "wooden_beads": (1090, 2231, 1684),
        "woodstick": (1255, 2677, 1073),
        "zipper": (1255, 1419, 2331),
    }

    @property
    def expected(self) -> Counts:
        """Published counts of the multi-view base set; empty for the other sets."""
        return self.base_counts if self.lists == "realiad_jsons" else {}

    def samples(self, root: Path) -> pd.DataFrame:
        """See `harness.datasets.Dataset.samples`."""
        require_folder(root, source=self.source)
        folder = self._folder(root)
        present = sorted(path.stem for path in folder.glob("*.json"))
        rows: list[dict[str, Any]] = []
        for category in choose(present, self.categories, folder, source=self.source):
            for split, item in _items(folder / f"{category}.json"):
                normal = item["anomaly_class"] == "OK" or item["mask_path"] is None
                place = f"{self.resolution}/{category}"
                rows.append(
                    {
                        "image": f"{place}/{item['image_path']}",
                        "mask": None if normal else f"{place}/{item['mask_path']}",
                        "category": category,
                        "object": f"{category}/{_object_of(item['image_path'])}",
                        "split": split,
                        "defect": GOOD if normal else item["anomaly_class"],
                    }
                )
        return make_table(self.name, rows)

    def _folder(self, root: Path) -> Path:
        """Return the folder of the JSON files: nested in `realiad_jsons`, or next to the image folders."""
        candidates = (root / "realiad_jsons" / self.lists, root / self.lists)
        for folder in candidates:
            if folder.is_dir() and any(folder.glob("*.json")):
                return folder
        raise InputError(
            f"No JSON files of {self.lists} in {candidates[0].absolute()} or {candidates[1].absolute()}. {self.source}"
        )


def _items(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Read (split, item) for every image of a JSON file."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file} is not JSON ({error}). Restore the file from realiad_jsons.zip."
        ) from error
    if not isinstance(content, dict) or set(content) != KEYS:
        keys = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{file} must have the keys meta, train and test, got {keys}. "
            "Restore the file from realiad_jsons.zip."
        )
    if not all(isinstance(content[split], list) for split in ("train", "test")):
        raise InputError(
            f"{file}: train and test must be lists of images. Restore the file from realiad_jsons.zip."
        )
    items = [(split, item) for split in ("train", "test") for item in content[split]]
    for _, item in items:
        if not isinstance(item, dict) or not all(
            isinstance(value, str) or (key == "mask_path" and value is None)
            for key, value in item.items()
        ):
            raise InputError(
                f"{file}: an image must be a table of texts, got {item!r:.200}. Restore the file from "
                "realiad_jsons.zip."
            )
        if set(item) != ITEM_KEYS:
            raise InputError(
                f"{file}: an image must have the keys {', '.join(sorted(ITEM_KEYS))}, got {', '.join(sorted(item))}. "
                "Restore the file from realiad_jsons.zip."
            )
    return items


def _object_of(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    found = OBJECT.match(name)
    return found.group(1) if found else name
