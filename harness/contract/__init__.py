"""Contracts of components as checks: what every dataset, network, detector, protocol, study and report must keep.

Each check yields a sentence per breach. The tests of our own components and the command `contract` run the same checks.
"""

from harness.contract.dataset import breaches_of_dataset
from harness.contract.detector import breaches_of_detector
from harness.contract.network import breaches_of_network
from harness.contract.worlds import Worlds, draw_worlds

__all__ = [
    "Worlds",
    "breaches_of_dataset",
    "breaches_of_detector",
    "breaches_of_network",
    "draw_worlds",
]
