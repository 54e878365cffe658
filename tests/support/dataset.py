"""The small dataset that most tests share, and what they run on it."""

from dataclasses import dataclass
from pathlib import Path

from harness.datasets.textures import Textures
from harness.evaluation import Evaluation
from harness.experiment import Experiment
from harness.experiment.preparation import Prepared
from harness.features import ImageSet
from harness.features.encoder import Encoder
from harness.networks.dinomaly import Dinomaly

SMALL = Textures(train=8, good=4, defective=10)
ENCODER = Encoder(image_size=128, pixels=True)
NETWORK = Dinomaly(width=16, depth=2, heads=2, ramp_steps=4)


@dataclass(frozen=True)
class Small:
    """Where the small dataset lies, and its features."""

    data: Path
    cache: Path
    prepared: Prepared

    @property
    def train_images(self) -> ImageSet:
        """The training images, without contamination."""
        samples = self.prepared.samples
        return self.prepared.images(samples[samples["split"] == "train"])

    def experiment(self, detector, **changes) -> Experiment:
        settings = {"dataset": SMALL, "encoder": ENCODER, "evaluation": Evaluation(size=64)}
        return Experiment(detector=detector, **{**settings, **changes})
