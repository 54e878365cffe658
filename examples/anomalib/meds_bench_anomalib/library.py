"""Parts of anomalib, Lightning and torchvision, imported in the order that a CPU build of torch needs."""

from harness.features.backbone import import_timm

timm = import_timm()  # makes torchvision importable, which the others import

from anomalib import LearningType, models  # noqa: E402
from anomalib.data import ImageBatch  # noqa: E402
from anomalib.engine import Engine  # noqa: E402
from anomalib.models import AnomalibModule  # noqa: E402
from anomalib.pre_processing import PreProcessor  # noqa: E402
from lightning.pytorch import Callback, LightningDataModule  # noqa: E402
from lightning_utilities.core import rank_zero  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

__all__ = [
    "AnomalibModule",
    "Callback",
    "Engine",
    "ImageBatch",
    "LearningType",
    "LightningDataModule",
    "PreProcessor",
    "models",
    "rank_zero",
    "timm",
    "v2",
]
