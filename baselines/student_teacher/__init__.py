"""Shared parts of EfficientAD-M and AD2: networks, losses, training and pixels."""
