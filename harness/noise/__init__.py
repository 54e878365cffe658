"""Contamination of the training set with anomalous images."""

from harness.noise.contamination import LIST, Noise, NoisySplit, contaminate

__all__ = ["LIST", "Noise", "NoisySplit", "contaminate"]
