"""Frozen encoders, and the store of the features that they compute."""

from harness.features.store import CategoryFeatures, CategoryImages, FeatureStore, ImageSet

__all__ = ["CategoryFeatures", "CategoryImages", "FeatureStore", "ImageSet"]
