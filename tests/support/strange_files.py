"""Small folders of made-up pixels, each written in an encoding or under names that people really use.

Every folder has the layout of the dataset `folder`: normal/ (20 images of noise, 96 x 96), crack/ (5 with a red square
of 24 x 24, which is 6.25 % of the image), masks/crack/.
"""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
UNTURNED = {
    1: lambda seen: seen,
    2: np.fliplr,
    3: lambda seen: seen[::-1, ::-1],
    4: np.flipud,
    5: lambda seen: np.swapaxes(seen, 0, 1),
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: np.swapaxes(seen[::-1, ::-1], 0, 1),
    8: lambda seen: np.rot90(seen, -1),
}
"""By EXIF orientation, what a camera stores for what a viewer shows."""


def noise(seed):
    """A normal image [96, 96, 3]."""
    values = np.random.default_rng(seed).normal(128, 25, (96, 96, 3))
    return np.clip(values, 0, 255).astype(np.uint8)


def defect(seed):
    """An image with a red square, and its mask of 0 and 255."""
    image, mask = noise(seed), np.zeros((96, 96), np.uint8)
    x, y = 10 + seed % 40, 12 + seed % 35
    image[y : y + 24, x : x + 24] = (240, 20, 20)
    mask[y : y + 24, x : x + 24] = 255
    return image, mask


def plain(array, path):
    Image.fromarray(np.ascontiguousarray(array)).save(path)


def turned(orientation):
    """A writer of images that a viewer turns."""

    def save(array, path):
        picture = Image.fromarray(np.ascontiguousarray(UNTURNED[orientation](array)))
        exif = picture.getexif()
        exif[ORIENTATION] = orientation
        options = {"quality": 95} if path.suffix == ".jpg" else {}
        picture.save(path, exif=exif, **options)

    return save


def write(
    root, *, image=plain, mask=plain, suffix=".png", mask_suffix=".png", normals=20, masks=True
):
    """Write a folder; `image` and `mask` save an array under a path."""
    for name in ("normal", "crack", "masks/crack") if masks else ("normal", "crack"):
        (root / name).mkdir(parents=True)
    for i in range(normals):
        image(noise(i), root / "normal" / f"{i:03d}{suffix}")
    for i in range(5):
        pixels, truth = defect(1000 + 7 * i)
        image(pixels, root / "crack" / f"{i:03d}{suffix}")
        if masks:
            mask(truth, root / "masks/crack" / f"{i:03d}{mask_suffix}")
    return root


def palette_mask(mask, path, color=(128, 0, 0)):
    indexed = Image.fromarray((mask > 0).astype(np.uint8))
    indexed.putpalette([0, 0, 0, *color])
    indexed.save(path)


def alpha_mask(mask, path, value=255):
    ground = Image.new("L", mask.shape[::-1], value)
    Image.merge("RGBA", [ground, ground, ground, Image.fromarray(mask)]).save(path)


def grey16(array, path):
    Image.fromarray(array[..., 0].astype(np.uint16) * 257).save(path)


def grey_float(array, path):
    Image.fromarray((array[..., 0] / 255).astype(np.float32)).save(path)


def png16(path, channels_HW3):
    """Write a PNG of 16 bits per channel, which Pillow cannot."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, _ = channels_HW3.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels_HW3)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def good(root: Path) -> Path:
    return write(root)


def mask_1bit(root):
    return write(root, mask=lambda m, p: Image.fromarray(m).convert("1").save(p))


def mask_palette(root):
    return write(root, mask=palette_mask)


def mask_in_alpha(root):
    return write(root, mask=alpha_mask)


def mask_inverted(root):
    return write(root, mask=lambda m, p: plain(255 - m, p))


def mask_suffix(root):
    return write(root, mask=lambda m, p: plain(m, p.with_name(f"{p.stem}_mask.png")))


def mask_bmp(root):
    return write(root, mask_suffix=".bmp")


def mask_upper_case(root):
    write(root, mask_suffix=".PNG")
    (root / "masks/crack").rename(root / "masks/Crack")
    return root


def mask_ground_truth(root):
    (write(root) / "masks").rename(root / "ground_truth")
    return root


def image_16bit(root):
    return write(root, image=grey16)


def image_float(root):
    return write(root, image=grey_float, suffix=".tif")


def image_exif(root):
    return write(root, image=turned(3), suffix=".jpg")


def some_webp(root):
    write(root)
    for i in range(20, 40):
        plain(noise(i), root / "normal" / f"{i:03d}.webp")
    return root


def tiff_pages(root):
    def save(array, path):
        black = Image.fromarray(np.zeros_like(array))
        black.save(path, save_all=True, append_images=[Image.fromarray(array)])

    return write(root, image=save, suffix=".tif")


def hidden_folder(root):
    write(root)
    (root / ".ipynb_checkpoints").mkdir()
    shutil.copy(root / "normal/000.png", root / ".ipynb_checkpoints/000-checkpoint.png")
    return root


def mac_files(root):
    write(root)
    (root / "normal/._000.png").write_bytes(b"\0\5\x16\7" + bytes(100))
    (root / "masks/crack/._000.png").write_bytes(b"\0\5\x16\7" + bytes(100))
    (root / "masks/crack/Thumbs.db").write_bytes(b"x")
    return root


def huge_image(root):
    write(root, masks=False)
    Image.new("L", (14000, 13500), 128).save(root / "normal/020.png", compress_level=1)
    return root


def name_not_utf8(root):
    write(root)
    shutil.copy(root / "normal/000.png", os.fsencode(str(root / "normal")) + b"/caf\xe9.png")
    return root


def few_normals(root):
    return write(root, normals=4)


def wide(root):
    return write(
        root,
        image=lambda a, p: plain(np.hstack([a] * 8), p),
        mask=lambda m, p: plain(np.hstack([m] + [m * 0] * 7), p),
    )


def mvtec_layout(root, category="bolt (M8)"):
    """One category in the layout of MVTec AD."""
    parts = {"train/good": 12, "test/good": 4, "test/scratch": 4, "ground_truth/scratch": 4}
    for kind, count in parts.items():
        folder = root / category / kind
        folder.mkdir(parents=True)
        for i in range(count):
            pixels, truth = defect(2000 + 7 * i)
            if kind.startswith("ground_truth"):
                plain(truth, folder / f"{i:03d}_mask.png")
            else:
                normal = noise(3000 + i + 50 * len(kind))
                plain(pixels if "scratch" in kind else normal, folder / f"{i:03d}.png")
    return root
