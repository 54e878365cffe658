"""Frozen encoders and the store of their features."""

from harness.features.store import CategoryFeatures, CategoryImages, FeatureStore, ImageSet

__all__ = ["CategoryFeatures", "CategoryImages", "FeatureStore", "ImageSet"]
