"""Frozen encoders, and the store of the features that they compute."""

from harness.features.encoder import Encoder
from harness.features.encoding import encode
from harness.features.store import (
    CalibratedImageSet,
    CategoryFeatures,
    CategoryImages,
    FeatureStore,
    HeldFeatures,
    ImageSet,
)

__all__ = [
    "CalibratedImageSet",
    "CategoryFeatures",
    "CategoryImages",
    "Encoder",
    "FeatureStore",
    "HeldFeatures",
    "ImageSet",
    "encode",
]
