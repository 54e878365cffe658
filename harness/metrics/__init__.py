"""Exact image, pixel, region and object metrics."""

from harness.metrics.exact import (
    IMAGE_METRICS,
    PIXEL_METRICS,
    channel_sweep,
    image_ap,
    image_auroc,
    image_f1max,
    image_sweep,
    inspection_depth,
    object_sweep,
    pixel_ap,
    pixel_aupro,
    pixel_auroc,
    pixel_f1max,
    pixel_sweep,
)

__all__ = [
    "IMAGE_METRICS",
    "PIXEL_METRICS",
    "channel_sweep",
    "image_ap",
    "image_auroc",
    "image_f1max",
    "image_sweep",
    "inspection_depth",
    "object_sweep",
    "pixel_ap",
    "pixel_aupro",
    "pixel_auroc",
    "pixel_f1max",
    "pixel_sweep",
]
