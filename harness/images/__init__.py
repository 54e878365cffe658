"""Images and masks: one reader of each, facts about image files, and lists of images.

`decoding` opens a file, `view` makes of it what a person sees, and `masks` decides which pixels are defective. `index`
keeps facts about every file, `names` separates data from other entries of a folder, and `lists` reads CSV files.
"""

from harness.images.decoding import MAX_PIXELS
from harness.images.index import ImageFacts, ImageIndex
from harness.images.lists import listed_name, read_image_list
from harness.images.masks import (
    RELEASED,
    MaskRule,
    mask_files,
    mask_values,
    read_mask,
    resize_mask,
)
from harness.images.names import (
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    check_names,
    is_data,
    is_image,
    natural_key,
)
from harness.images.view import (
    DeepImage,
    ImageSource,
    ImageTile,
    read_rgb,
    reading,
    source,
    white_level,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "RELEASED",
    "UNREAD_SUFFIXES",
    "DeepImage",
    "ImageFacts",
    "ImageIndex",
    "ImageSource",
    "ImageTile",
    "MaskRule",
    "check_names",
    "is_data",
    "is_image",
    "listed_name",
    "mask_files",
    "mask_values",
    "natural_key",
    "read_image_list",
    "read_mask",
    "read_rgb",
    "reading",
    "resize_mask",
    "source",
    "white_level",
]
