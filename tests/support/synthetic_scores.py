"""Synthetic results with a known truth: values by seed and category, and scores of test images of normal shape.

Legend: S seeds, C categories, N images, R repetitions.
"""

import numpy as np
import pandas as pd
from scipy import special

from harness.metrics.exact import image_auroc


def tidy_rows(values, *, method="m", detector="MeDS", metric="image_auroc", noise=0.4, units=None):
    """Tidy results with a row per unit and category, and their means."""
    values_SC = np.asarray(values, dtype=float)
    units = units or [("0", str(seed)) for seed in range(len(values_SC))]
    rows = []
    for (noise_seed, seed), line in zip(units, values_SC, strict=True):
        cells = {f"c{i}": value for i, value in enumerate(line)} | {"mean": line.mean()}
        rows += [
            {
                **{"dataset": "D", "readout": "all", "metric": metric, "noise": noise},
                **{"method": method, "detector": detector, "category": name, "value": value},
                **{"noise.seed": noise_seed, "seed": seed},
                "detector.training.steps": "9" if detector == "MeDS" else None,
                **{
                    "run_id": f"{method}-{noise}-{noise_seed}-{seed}",
                    "key": f"{method}{noise}{seed}",
                },
            }
            for name, value in cells.items()
        ]
    return rows


def separation(auroc):
    """Distance of the means of two unit normal distributions with this AUROC."""
    return np.sqrt(2) * special.ndtri(auroc)


class Images:
    """Scores of two methods on drawn test images: an effect of the image, of the seed, and of both.

    The anomalies of a seed are shifted by its own amount, so the true AUROC of a method is the mean over seeds.
    """

    def __init__(self, rng, *, normal=80, defective=60, shared=0.5, seed_sd=0.0):
        self.rng, self.counts, self.shared, self.seed_sd = rng, (normal, defective), shared, seed_sd
        self.labels_N = np.repeat([False, True], self.counts)
        self.common_N = rng.normal(size=len(self.labels_N))

    def scores(self, auroc, seeds, method_N):
        """Scores [S, N] of a method with this AUROC at an average seed."""
        own_SN = self.rng.normal(size=(seeds, len(self.labels_N)))
        noise_SN = (
            np.sqrt(self.shared) * self.common_N
            + np.sqrt((1 - self.shared) / 2) * method_N
            + np.sqrt((1 - self.shared) / 2) * own_SN
        )
        shift_S = separation(auroc) + self.seed_sd * self.rng.normal(size=seeds)
        return noise_SN + self.labels_N * shift_S[:, None]


def truth(auroc, seed_sd):
    """True AUROC averaged over seeds whose separation varies by `seed_sd`."""
    return float(special.ndtr(separation(auroc) / np.sqrt(2 + seed_sd**2)))


def score_table(scores_SN, labels_N, *, method, noise=0.4, category="c0"):
    """Stored scores and tidy results of a method on one category."""
    tables, values = [], []
    for seed, scores_N in enumerate(scores_SN):
        run = f"{method}-{noise}-0-{seed}"
        names = [f"{i:04d}.png" for i in range(len(labels_N))]
        own = {"run_id": run, "image": names, "category": category, "anomalous": labels_N}
        tables.append(pd.DataFrame(own | {"score": scores_N, "seen": False}))
        values.append([image_auroc(labels_N, scores_N)])
    rows = tidy_rows(values, method=method, noise=noise)
    return pd.concat(tables, ignore_index=True), rows
