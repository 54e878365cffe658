"""Settings of our own methods for the shipped encoder and a laptop without a GPU."""

from __future__ import annotations

from dataclasses import replace

from harness.detectors.meds import MeDS
from harness.detectors.memory_detector import MemoryDetector
from harness.detectors.reconstruction import ReconstructionDetector
from harness.memory import AdaptiveMemory
from harness.networks.dinomaly import Dinomaly
from harness.training.optimizer import TrainingConfig

MEMORY = MemoryDetector()
"""Memory ensemble of the paper's ratio."""
NETWORK = Dinomaly(width=64, depth=2, heads=2, ramp_steps=1000)
"""Small Dinomaly."""
PLAIN = ReconstructionDetector(network=NETWORK, training=TrainingConfig(steps=2000))
"""Network as its authors train it, with as many steps as both stages of MeDS together."""
MEDS = MeDS(
    network=replace(NETWORK, discard=0.5),
    distillation=TrainingConfig(steps=500),
    finetuning=TrainingConfig(steps=1500),
)
"""MeDS on the same network."""
TUNED = replace(MEDS, finetuning=None, partner=AdaptiveMemory(), scores="larger")
"""Distilled model together with the adaptive memory: a variant of MeDS for the shipped encoder (study `student`)."""
