"""Dry run: the experiments of a study, and an estimate of time and disk space, without running the study."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from harness.cluster.options import ClusterOptions
from harness.cluster.resources import Resources
from harness.cluster.stores import checked_tracker
from harness.experiment import Experiment, names
from harness.experiment.cost import CostEstimate, forecast
from harness.experiment.preparation import check_noise, read_dataset
from harness.noise.counts import describe_counts


def dry_run(
    study: str, profile: str, experiments: list[Experiment], *, data: Path, where: ClusterOptions
) -> None:
    """Print all experiments, the work they share, and an estimate of time and disk.

    Raises:
        InputError: the data, a setting, a store or the cluster cannot be used.
    """
    by_key = {experiment.key: experiment for experiment in experiments}
    cache = where.cache_dir
    (dataset,) = {experiment.dataset for experiment in experiments}
    samples, digest = read_dataset(dataset, data, cache)
    injected = check_noise(samples, [(each.noise, each.categories) for each in experiments])
    tracker = checked_tracker(study, where)
    finished = tracker.finished_keys(digest) & set(by_key) if tracker.is_there else set()
    rates = tracker.rates(digest) if tracker.is_there else {}
    if len(finished) < len(by_key):
        _check_cluster(where)
    found = forecast(by_key, data=data, cache=cache, finished=finished, rates=rates)
    for key, name in names(by_key).items():
        print(f"{'finished' if key in finished else 'to run  '}  {name}")
    counts = f"{len(by_key)} experiments, {len(finished)} finished, {len(found.missing)} to run"
    print(f"\n{study} on {profile}: {counts}")
    for noise, table in injected.items():
        if noise.ratio > 0:
            totals = f"{table['injected'].sum()} of {table['wanted'].sum()} requested images"
            where_from = describe_counts(table)
            print(
                f"noise {noise.ratio:.0%} ({noise.protocol}): {totals} are injected. {where_from}"
            )
    print(as_text(found, cache, where.sharing))


def _check_cluster(where: ClusterOptions) -> None:
    """Connect to the cluster as the study would, if the user named a cluster or a share of it.

    Raises:
        InputError: see `harness.cluster.session.session` and `max_concurrent_trials`.
    """
    divides = where.sharing.workers or where.sharing.gpus_per_trial < 1
    if where.address or "RAY_ADDRESS" in os.environ or divides:
        from harness.cluster.session import (
            max_concurrent_trials,
            session,
        )  # needs seconds to import

        with session(where.address):
            max_concurrent_trials(where.sharing)


def as_text(found: CostEstimate, cache: Path, sharing: Resources = Resources()) -> str:
    """Return the remaining work as a table and sentences."""
    steps = pd.DataFrame(
        [
            {
                "shared work": step.what,
                "wanted": f"{step.wanted:,}",
                "left": f"{step.missing:,}",
                "one device": duration(step.seconds) if step.seconds else "",
                "GB of cache": f"{step.gigabytes:.2f}",
            }
            for step in found.steps
        ]
    )
    lines = ["", steps.to_markdown(index=False), ""] if len(steps) else [""]
    kinds: dict[str, list[str]] = {}
    for key, experiment in found.missing.items():
        kinds.setdefault(experiment.detector.title, []).append(key)
    lines += [f"{len(keys)} x {kind}: {_takes(keys, found)}" for kind, keys in kinds.items()]
    count, what = devices()
    partly = f", excluding {', '.join(found.unknown)}" if found.unknown else ""
    free = shutil.disk_usage(next(p for p in (cache, *cache.absolute().parents) if p.exists())).free
    wanted = sum(step.gigabytes for step in found.steps)
    at_once = min(count, sharing.max_concurrent or count)
    limit = f", {at_once} experiments at once" if at_once < count else ""
    total = duration(found.total(count, at_once))
    lines.append(f"Total: about {total} on {count} {what}{limit}{partly}.")
    if found.to_download:
        names = ", ".join(found.to_download)
        lines.append(f"Not checked: the weights of {names}, which the study takes from a hub.")
    lines.append(f"Disk: {wanted:.1f} GB in {cache}, which has {free / 1e9:.0f} GB free.")
    return "\n".join(lines)


def _takes(keys: Sequence[str], found: CostEstimate) -> str:
    """Return the time per experiment, for experiments of one kind."""
    known = sorted(found.seconds[key] for key in keys if key in found.seconds)
    if not known:
        return "none was run on this data yet, time unknown"
    ends = dict.fromkeys((duration(known[0]), duration(known[-1])))
    return f"{' to '.join(ends)} each"


def devices() -> tuple[int, str]:
    """Return the number and the kind of this machine's devices.

    The estimate assumes that sharing a device among experiments saves no time.
    """
    if count := torch.cuda.device_count():
        return count, "GPUs" if count > 1 else "GPU"
    return os.cpu_count() or 1, "cores"


def duration(seconds: float) -> str:
    """Return a duration as rounded text.

    >>> duration(0.4), duration(75), duration(5400), duration(200_000)
    ('1 s', '75 s', '90 min', '56 h')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
