"""Coverage of the 95 % intervals of reports on synthetic results with a known truth, in per cent (takes minutes).

The rows differ in what varies: test images of two classes, training seeds, noise seeds with several trainings each, and
categories drawn from a population. `coverage` is the share of intervals that contain the truth, with the `error` of the
simulation (one standard error), and `width` the median width of an interval. The last rows are the percentile
bootstrap that tables had before. In the rows `marks`, `coverage` is the share of tables whose best method is marked as
best or as a tie.
"""

from __future__ import annotations

import math
from typing import Any

from tests.support.coverage import bootstraps, covered, scenarios, two_seeds

ON_REQUEST = True
REPETITIONS = 3000


def run() -> list[dict[str, Any]]:
    """Simulate; return one row per scenario."""
    rows = []
    kinds = {
        "this version": [*scenarios(), *two_seeds()],
        "percentile bootstrap": [*bootstraps()],
    }
    for method, found in kinds.items():
        for scenario in found:
            repetitions = int(REPETITIONS / scenario.cost)
            share, width = covered(scenario, repetitions)
            rows.append(
                {
                    "interval": method,
                    "varies": scenario.variation,
                    "number": scenario.number,
                    "units": scenario.units,
                    "coverage": round(100 * share, 1),
                    "error": round(100 * math.sqrt(0.05 * 0.95 / repetitions), 1),
                    "width": round(width, 3),
                }
            )
    return rows
