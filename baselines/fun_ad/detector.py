"""FUN-AD (Im et al., Fully Unsupervised Learning for Anomaly Detection with Noisy Training Data, WACV 2025).

A small discriminator learns to detect patches that are far from the patches of likely normal images. At every step, the
discriminator's own scores select the likely normal images. FUN-AD needs no clean data, but assumes that the training
images contain anomalies.

Batches may contain exact copies of a patch, as with protocols that repeat images. The release then also counts pairs
of a patch with itself, whose difference is 0. In one batch, these were 49 of 150 pairs, and the loss of the first step
was 1.370 instead of 1.380. Here, a pair always has two patches.

Legend: N images, P patches, B images in a batch, Q = B x P patches of a batch, R patches of a memory bank, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from baselines.fun_ad.pseudo_labels import (
    discrimination_loss,
    likely_normal,
    mutual_smoothness,
    pairs_of,
    relative_distances,
    with_noise,
)
from baselines.fun_ad.scorer import Discriminator, FunADScorer, SnapshotsTrained
from baselines.patch_bank.nearest import DeviceRows, nearest_on_device
from baselines.patch_bank.pool import TOGETHER, PatchSource, Scope, patch_sources
from harness.anomaly_maps import PATCHCORE
from harness.detectors import Requirements
from harness.detectors.arrays import parts_of
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.compute import Compute, DistributedContext
from harness.training import state_of
from harness.training.phases import State


@dataclass(frozen=True, kw_only=True)
class FunAD:
    """Detector with a patch discriminator that is trained on pseudo-labels from its own scores."""

    epochs: int = 1500
    """Number of passes over the training images."""
    batch_size: int = 32
    """Number of images per step."""
    learning_rate: float = 2e-5
    """Learning rate of RMSprop, which has momentum 0.2."""
    likely: float = 0.5
    """Images with a min-max-scaled score below this are treated as normal."""
    bank_share: float = 0.5
    """Fraction of the likely normal images whose patches form the memory bank, redrawn at every refresh."""
    bank_patches: int | None = None
    """Maximum number of patches in the memory bank, drawn at random; None for all patches, as published."""
    bank_refresh: Literal["step", "epoch"] = "step"
    """Interval at which the memory bank is rebuilt: every step, as published, or every epoch, which is far faster."""
    tau_n: float = 0.5
    """Threshold on the distance, min-max-scaled over the batch, above which a patch is labelled anomalous."""
    tau_c: float = 0.9
    """Threshold on the same distance, below which a patch labelled anomalous gets noise before the training step."""
    equal: float = 1e-2
    """Squared distance below which a patch of the memory bank counts as the query patch. The value was published for
    DINO features, which are about forty times as long as unit features."""
    balanced: bool = True
    """True if both labels have equal weight in the loss, regardless of their numbers of patches."""
    smoothness: float = 2.5
    """Weight of the score difference between patches that are each other's nearest neighbours."""
    ms_on_noised: bool = False
    """True if this difference is measured after adding the noise, as in the release, which adds the noise in place."""
    snapshots: int = 0
    """Number of evenly spaced epochs whose best test result is reported as subset `oracle`, beside the last epoch.
    The release selects its result this way, from all epochs and separately per category. 0 for no selection."""
    scope: Scope = "category"
    """Scope of a network: one per category, or one for all categories."""

    name = "fun_ad"
    title = "FUN-AD"
    maps = PATCHCORE
    requirements = Requirements()

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.bank_patches or 1) < 1 or self.bank_patches == 0:
            raise InputError(
                "FUN-AD's epochs, batch_size and bank_patches must be at least 1, got "
                f"{self.epochs}, {self.batch_size} and {self.bank_patches}. Only bank_patches may also be None."
            )
        if not 0 < self.likely <= 1 or not 0 < self.bank_share <= 1:
            raise InputError(
                f"FUN-AD's likely and bank_share must lie in (0, 1], got {self.likely} and {self.bank_share}. The "
                "release uses 0.5 and 0.5."
            )

    def fit(self, images: ImageSet, *, seed: int, compute: Compute) -> FunADScorer:
        """Train the discriminators; `seed` determines initialisation, order, memory bank and noise."""
        names = ["all"] if self.scope == "all" else [str(i) for i in range(len(images.categories))]
        history = {
            f"training {name}": compute.train(
                run_fun_ad, _Job(self, pool, seed, f"training {name}")
            )
            for name, pool in zip(names, patch_sources(images, self.scope), strict=True)
        }
        return FunADScorer(history, self.scope)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> FunADScorer:
        """See `harness.detectors.Detector.restore`; the arrays are the weights of the discriminators."""
        parts = enumerate(parts_of(arrays))
        return FunADScorer(
            {f"training {i}": SnapshotsTrained.of_weights(part) for i, part in parts}, self.scope
        )


@dataclass(frozen=True)
class _Job:
    settings: FunAD
    pool: PatchSource
    seed: int
    name: str


def run_fun_ad(world: DistributedContext, job: _Job) -> SnapshotsTrained:
    """Train a discriminator, resuming from the last checkpoint if one exists.

    Raises:
        InputError: the loss is not finite.
    """
    with torch.random.fork_rng():
        run = _Run(world, job)
        while run.epoch < job.settings.epochs:
            run.pass_over_images()
    losses_T, snapshots = np.array(run.losses), tuple(run.snapshots)
    return SnapshotsTrained(state_of(run.network), losses_T, snapshots=snapshots)


class _Run:
    """State of a running training."""

    def __init__(self, world: DistributedContext, job: _Job) -> None:
        self.world, self.job, self.settings = world, job, job.settings
        torch.manual_seed(job.seed)
        self.features_NPC = torch.from_numpy(job.pool.all())
        self.network = Discriminator(self.features_NPC.shape[2]).to(world.device)
        self.optimizer = torch.optim.RMSprop(
            self.network.parameters(), lr=job.settings.learning_rate, momentum=0.2
        )
        self.rng = np.random.default_rng([job.seed, 1])
        self.losses: list[float] = []
        self.snapshots: list[State] = []
        self.epoch = 0
        if world.checkpoints and (saved := world.checkpoints.load(job)):
            self._restore(saved)

    def pass_over_images(self) -> None:
        """Train on full batches of one pass over the images, or on one batch of all images if they are fewer."""
        images, size = len(self.features_NPC), min(self.settings.batch_size, len(self.features_NPC))
        full = images // size
        bank_RC = self._bank()
        for number, rows_B in enumerate(
            self.rng.permutation(images)[: full * size].reshape(full, -1)
        ):
            if number and self.settings.bank_refresh == "step":
                bank_RC = self._bank()
            self.losses.append(self._step(self.features_NPC[rows_B].to(self.world.device), bank_RC))
            self.world.report(
                self.job.name, len(self.losses), full * self.settings.epochs, self.losses[-1]
            )
        self.epoch += 1
        if self.settings.snapshots * self.epoch // self.settings.epochs > len(self.snapshots):
            self.snapshots.append(state_of(self.network))
        checkpoints = self.world.checkpoints
        if checkpoints and self.world.rank == 0:
            ended = self.epoch == self.settings.epochs
            if ended or len(self.losses) % checkpoints.every < full:
                checkpoints.save(self.job, self._state())

    @torch.no_grad()
    def _bank(self) -> Tensor:
        """Compute the memory bank: adapted patches [R, C] of likely normal images."""
        scores = [
            self.network(some.to(self.world.device)).amax(dim=1)
            for some in self.features_NPC.split(TOGETHER)
        ]
        chosen = likely_normal(
            torch.cat(scores).cpu().numpy(),
            self.rng,
            self.settings.likely,
            self.settings.bank_share,
        )
        rows_RC = self.features_NPC[chosen].flatten(0, 1)
        most = self.settings.bank_patches
        if most is not None and most < len(rows_RC):
            rows_RC = rows_RC[self.rng.choice(len(rows_RC), most, replace=False)]
        return self.network.adaptor(rows_RC.to(self.world.device))

    def _step(self, batch_BPC: Tensor, bank_RC: Tensor) -> float:
        settings, network = self.settings, self.network
        clean_QC = batch_BPC.flatten(0, 1)
        with torch.no_grad():
            adapted_QC = network.adaptor(clean_QC)
            squares_QK, _ = nearest_on_device(adapted_QC, DeviceRows.of(bank_RC), 2)
            distance_Q = relative_distances(squares_QK, settings.equal)
        label_Q = distance_Q > settings.tau_n
        noisy_Q = label_Q & (distance_Q < settings.tau_c)
        noisy_QC = with_noise(clean_QC, noisy_Q, batch_BPC)
        score_Q = network(noisy_QC)
        loss = discrimination_loss(score_Q, label_Q, balanced=settings.balanced)
        if settings.smoothness:
            smooth_Q = score_Q if settings.ms_on_noised else network(clean_QC)
            loss = loss + settings.smoothness * mutual_smoothness(smooth_Q, pairs_of(adapted_QC))
        if not torch.isfinite(loss):
            raise InputError(
                f"FUN-AD's loss must be finite, but is {loss.item()} at step {len(self.losses)}: lower learning_rate."
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "snapshots": self.snapshots,
            "epoch": self.epoch,
            "rng": self.rng.bit_generator.state,
            "noise": torch.get_rng_state(),
        }

    def _restore(self, saved: Mapping[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.losses, self.epoch = saved["losses"], saved["epoch"]
        self.snapshots = saved["snapshots"]
        self.rng.bit_generator.state = saved["rng"]
        torch.set_rng_state(saved["noise"])
