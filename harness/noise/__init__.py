"""Contamination of the training set."""

from harness.noise.contamination import LIST, Noise, NoisySplit, contaminate

__all__ = ["LIST", "Noise", "NoisySplit", "contaminate"]
