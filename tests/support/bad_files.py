"""Damaged and unsuitable files and folders, as a user may give them to a command by mistake."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from tests.support import layouts
from tests.support.commands import ROOT

EXPORT = ROOT / "tests" / "data" / "export-87b34bb"
"""A sound exported study."""


def write_images(folder: Path, count: int = 10) -> Path:
    """Write photographs of noise, which differ from each other."""
    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def write_folders(root: Path) -> Path:
    """Write folders of images, empty ones, and ones that hold something else."""
    root.mkdir()
    write_images(root / "images")
    layouts.magnetic_tile(root / "tiles")
    (root / "empty").mkdir()
    (root / "texts").mkdir()
    (root / "texts" / "a.txt").write_text("words")
    (root / "file").write_text("words")
    (root / "damaged").mkdir()
    for i in range(10):
        (root / "damaged" / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes([i] * 40))
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root / "loop")
    return root


def write_weights(folder: Path) -> list[Path]:
    """Write files that hold no weights; return them."""
    folder.mkdir()
    torch.save({"a": torch.zeros(3)}, folder / "short.pt")
    contents: dict[str, bytes] = {
        "empty.pt": b"",
        "text.pt": b"not weights",
        "truncated.pt": (folder / "short.pt").read_bytes()[:200],
        "header.safetensors": b"\xff" * 64,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    for name, value in {"list.pt": [1, 2], "number.pt": 3.0, "words.pt": {"a": "b"}}.items():
        torch.save(value, folder / name)
    (folder / "folder.pt").mkdir()
    return sorted(folder.iterdir())


def write_lists(folder: Path) -> list[Path]:
    """Write files that are no lists of images; return them."""
    folder.mkdir()
    contents = {
        "empty.csv": b"",
        "header.csv": b"image\n",
        "column.csv": b"name\na.png\n",
        "unknown.csv": b"image\nnowhere.png\n",
        "binary.csv": bytes(range(256)),
        "zeros.csv": b"\0" * 99,
        "quote.csv": b'image,score\n"a.png,3\n',
        "long.csv": b"image\n" + b"a" * 200_000 + b"\n",
        "columns.csv": b"image\na.png,b.png\n",
        "above.csv": b"image\n../../etc/passwd\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.csv").mkdir()
    return sorted(folder.iterdir())


def write_stores(root: Path) -> list[Path]:
    """Write folders of results whose database cannot be used; return the folders."""
    root.mkdir()
    other = root / "other" / "mlflow.db"
    other.parent.mkdir()
    with sqlite3.connect(other) as database:
        database.execute("create table runs (a int)")
    database.close()
    contents = {
        "text": b"not a database" * 50,
        "magic": b"SQLite format 3\0" + b"\xff" * 4080,
        "truncated": other.read_bytes()[:1000],
    }
    for name, content in contents.items():
        (root / name).mkdir()
        (root / name / "mlflow.db").write_bytes(content)
    (root / "folder" / "mlflow.db").mkdir(parents=True)
    (root / "file").write_text("words")
    return sorted(root.iterdir())


def write_exports(root: Path) -> list[Path]:
    """Write exported studies of which one file each is damaged; return the folders."""
    root.mkdir()
    damages: dict[str, Callable[[Path], object]] = {}
    for name in ("manifest.json", "experiments.json", "runs.csv", "results.parquet"):
        damages[f"{name}-missing"] = lambda folder, name=name: (folder / name).unlink()
        damages[f"{name}-empty"] = lambda folder, name=name: (folder / name).write_bytes(b"")
        damages[f"{name}-binary"] = lambda folder, name=name: (folder / name).write_bytes(
            bytes(range(256)) * 9
        )
        damages[f"{name}-folder"] = lambda folder, name=name: _folder_at(folder / name)
    for name in ("manifest.json", "experiments.json"):
        for text in ("[]", "3", '{"a": 1}', "{", '"words"', "null"):
            damages[f"{name}-{len(damages)}"] = lambda folder, name=name, text=text: (
                folder / name
            ).write_text(text)
    for text in ('{"splits": 3}', '{"locks": 3}', '{"locks": ["../a"]}', '{"locks": ["nowhere"]}'):
        damages[f"entry-{len(damages)}"] = lambda folder, text=text: _with_entries(
            folder / "manifest.json", json.loads(text)
        )
    damages["columns"] = lambda folder: pd.DataFrame({"a": [1]}).to_parquet(
        folder / "results.parquet"
    )
    damages["words"] = lambda folder: _with_words(folder / "results.parquet")
    damages["csv"] = lambda folder: (folder / "runs.csv").write_text('a,b\n"1,2\n3,4,5\n')
    damages["other csv"] = lambda folder: (folder / "runs.csv").write_text("a,b\n1,2\n")
    for name, damage in damages.items():
        damage(shutil.copytree(EXPORT, root / name))
    (root / "file").write_text("words")
    (root / "nothing").mkdir()
    return sorted(root.iterdir())


def _folder_at(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _with_entries(file: Path, entries: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def _with_words(file: Path) -> None:
    pd.read_parquet(file).assign(value="words").to_parquet(file)
