"""What the methods with a bank of patches share: sources, coresets, searches, outlier scores."""
