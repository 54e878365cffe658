"""Metrics of a folder of images, as a user's experiment computes them."""

from harness.datasets.folder import Folder
from harness.detectors import MemoryDetector
from harness.experiment import Experiment, run
from harness.features.encoder import Encoder
from harness.memory import MemoryEnsemble

DETECTOR = MemoryDetector(memory=MemoryEnsemble(ratio=0.5))


def metrics(root, cache, dataset=None):
    """Means of all metrics; thresholds are left out, as they have the unit of the scores."""
    experiment = Experiment(
        dataset=dataset or Folder(), encoder=Encoder(image_size=128), detector=DETECTOR
    )
    rows = run(experiment, data=root, cache=cache).metrics.query("category == 'mean'")
    found = rows.query("readout == 'all'").set_index("metric")["value"].to_dict()
    return {name: value for name, value in found.items() if not name.startswith("threshold.")}
