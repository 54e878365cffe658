"""What EfficientAD-M and AD2 share: networks, losses, training and pixels."""
