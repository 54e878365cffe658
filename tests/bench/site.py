"""Time and memory of building the site of 2,000 runs with 15 categories and 300 scored images each."""

import resource
import tempfile
import time
from pathlib import Path

from reports.site.build import build
from tests.support.sites import synthetic

METHODS, NOISES, SEEDS = 25, (0.0, 0.1, 0.2, 0.4), 20


def run():
    """One row: runs, seconds of wall time and of the processor, peak memory, size of the site."""
    names = [f"method {i}" for i in range(METHODS)]
    study = synthetic(names=names, seeds=SEEDS, noises=NOISES, categories=15, images=300)
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        built = build([study], Path(folder) / "site")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        index = (Path(folder) / "site" / "index.html").stat().st_size
    return [
        {
            "runs": built.runs,
            "seconds": wall,
            "CPU seconds": cpu,
            "peak memory, GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            "site, MB": size / 1e6,
            "index, kB": index / 1e3,
        }
    ]
