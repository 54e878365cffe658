"""Decoding of one image file: limits, errors and orientation. Everything that reads pixels comes through here."""

from __future__ import annotations

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from harness.errors import InputError

MAX_PIXELS = 178_956_970
"""Maximum number of pixels of an image, about 13,000 x 13,000; Pillow's own limit for decompression bombs."""
LARGE = 2**24
"""Number of pixels above which a process decodes one image at a time, to save memory."""
_alone = threading.RLock()
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
DAMAGES = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AssertionError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Errors that Pillow's decoders raise on damaged files."""
PHOTOGRAPHS = ("JPEG", "MPO")
"""Formats whose further pages are previews."""
TRUNCATED = re.compile(r"\b(RGB[AX]?|LA|CMYK);16")
"""Names of Pillow's decoders that drop the lower 8 bits of every channel."""
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Turn that a viewer makes for each value of the EXIF tag `Orientation`."""

# Pillow warns from half of its limit on. One limit with one paragraph is simpler.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_content(path: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        InputError: the file is missing, is no file, or cannot be read.
    """
    try:
        # A pipe or a device would block.
        content = path.read_bytes() if path.is_file() else None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read ({_reason(error)}). Allow reading it, or remove it."
        ) from error
    if content is None:
        raise InputError(
            f"{path} does not exist. Check the data root, or restore the file from the dataset's archive."
        )
    return content


def open_image(path: Path, content: bytes) -> Image.Image:
    """Read the header of an image file; no pixel is decoded yet.

    Raises:
        InputError: the content is not an image, or the image has more than `MAX_PIXELS` pixels.
    """
    try:
        image = Image.open(io.BytesIO(content))
    except BOMBS as error:
        raise _too_large(path, error) from error
    except DAMAGES as error:
        raise _damaged(path, error) from error
    return image


@contextmanager
def room_for(image: Image.Image) -> Iterator[None]:
    """Wait until no other thread has a large image in memory, if the opened image is large; see `LARGE`."""
    if image.width * image.height > LARGE:
        with _alone:
            yield
    else:
        yield


def load(path: Path, image: Image.Image) -> tuple[Image.Image, bool]:
    """Decode the first page of an opened image; return the image as a viewer turns it, and whether it was turned.

    Pillow itself turns TIFF files.

    Raises:
        InputError: the file is damaged.
    """
    try:
        image.load()
    except BOMBS as error:
        raise _too_large(path, error) from error
    except DAMAGES as error:
        raise _damaged(path, error) from error
    turn = TURNS.get(_orientation(image))
    return (image, False) if turn is None else (_transposed(image, turn), True)


def page_count(path: Path, image: Image.Image) -> int:
    """Return the number of pages or frames of an opened image; the previews inside a photograph do not count.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return 1 if image.format in PHOTOGRAPHS else int(getattr(image, "n_frames", 1))
    except DAMAGES as error:
        raise _damaged(path, error) from error


def stored_bits(image: Image.Image) -> int:
    """Return 16 for colours of which Pillow decodes only the upper 8 of 16 bits, before decoding; otherwise 8."""
    return 16 if TRUNCATED.search(str(getattr(image, "tile", ""))) else 8


def decode(path: Path) -> Image.Image:
    """Decode the first page of an image file, as a viewer turns it.

    Raises:
        InputError: the file is missing, too large, or not a readable image.
    """
    with decoded(path) as image:
        return image


@contextmanager
def decoded(path: Path) -> Iterator[Image.Image]:
    """Decode a file as `decode` does; inside the block, no other thread decodes a large image beside a large one.

    Raises:
        InputError: see `decode`.
    """
    opened = open_image(path, read_content(path))
    with room_for(opened):
        yield load(path, opened)[0]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except DAMAGES:
        return 1  # a viewer shows an image with damaged tags as it is stored


def _transposed(image: Image.Image, turn: Image.Transpose) -> Image.Image:
    turned = image.transpose(turn)
    turned.info = dict(image.info)  # holds the transparent colour
    return turned


def _too_large(path: Path, error: BaseException) -> InputError:
    pixels = re.search(r"\d+", str(error))
    size = f"{int(pixels.group()):,} pixels" if pixels else "more"
    return InputError(
        f"{path} has {size}, but an image may have {MAX_PIXELS:,} pixels, about 13,000 x 13,000. Cut the image into "
        "tiles or reduce it, or remove it."
    )


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(
        f"{path} cannot be read as an image ({_reason(error)}). Restore the file from the dataset's archive, or remove "
        "it."
    )


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content has no known image format"  # Pillow's text holds a memory address
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
