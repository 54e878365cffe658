"""Shared parts of the methods with a memory bank: patch sources, coresets, nearest neighbours, outlier scores."""
