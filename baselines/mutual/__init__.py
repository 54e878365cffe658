"""Shared parts of the methods that compare unlabelled images with each other: features, patch scores, image scores."""
