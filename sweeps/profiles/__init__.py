"""Profiles: datasets with encoders, methods and training lengths, which studies run on."""

from sweeps.profiles.local import PROFILES

__all__ = ["PROFILES"]
