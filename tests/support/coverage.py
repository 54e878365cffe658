"""Coverage of intervals on synthetic results with a known truth, by kind of variation.

Legend: S seeds, C categories.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from reports.statistics.best import against_best
from reports.statistics.images import deviations_of, stacked
from reports.statistics.intervals import within_bounds
from reports.statistics.robustness import area_weights
from reports.statistics.samples import Sample, combine, difference
from tests.support.synthetic_scores import Images, truth

Draw = Callable[[np.random.Generator], tuple[float, float, float]]
"""Function that draws results once and returns the bounds of an interval and the true value."""


@dataclass(frozen=True)
class Scenario:
    """One kind of variation and the number whose interval is drawn."""

    variation: str
    number: str
    units: str
    draw: Draw
    cost: float = 1.0
    """Time of a draw beside that of the others; expensive scenarios are drawn less often."""


def covered(scenario: Scenario, repetitions: int, seed: int = 0) -> tuple[float, float]:
    """Fraction of intervals that contain the truth, and the median width; draws without an interval are left out."""
    rng = np.random.default_rng(seed)
    bounds = np.array([scenario.draw(rng) for _ in range(repetitions)])
    bounds = bounds[~np.isnan(bounds).any(axis=1)]
    inside = (bounds[:, 0] <= bounds[:, 2]) & (bounds[:, 2] <= bounds[:, 1])
    return float(inside.mean()), float(np.median(bounds[:, 1] - bounds[:, 0]))


def gaussian(seeds, categories, *, seed_sd, category_sd, rest_sd, noises=1, noise_sd=0.0):
    """Sample of values around 0: effects of noise seeds, trainings, categories, and a remainder."""

    def draw(rng):
        shape = (noises, seeds, categories)
        values = noise_sd * rng.normal(size=(noises, 1, 1))
        values = values + seed_sd * rng.normal(size=(noises, seeds, 1))
        values = values + category_sd * rng.normal(size=(1, 1, categories))
        values = values + rest_sd * rng.normal(size=shape)
        units = tuple((str(n), str(s)) for n in range(noises) for s in range(seeds))
        names = tuple(f"c{i}" for i in range(categories))
        return Sample(units=units, categories=names, values_SC=values.reshape(-1, categories))

    return draw


def of_values(sample_of, categories) -> Draw:
    """Interval of a sample of values around 0."""

    def draw(rng):
        found = sample_of(rng).interval(categories)
        return found.low, found.high, 0.0

    return draw


def percentile(sample_of, categories) -> Draw:
    """Percentile bootstrap over seeds and categories, as the tables had it before, for comparison."""

    def draw(rng):
        values = sample_of(rng).values_SC
        weights = [rng.multinomial(n, np.full(n, 1 / n), size=1000) / n for n in values.shape]
        means = ((weights[0] @ values) * weights[1]).sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return low, high, 0.0

    return draw


def image_sample(images, scores_CSN) -> Sample:
    """Sample of scores of the same images in S runs, with the images of each of C categories."""
    names = tuple(f"{i:04d}" for i in range(scores_CSN[0].shape[1]))
    values, chance = [], {}
    for place, (own, scores_SN) in enumerate(zip(images, scores_CSN, strict=True)):
        found = [deviations_of(names, own.labels_N, scores_N) for scores_N in scores_SN]
        values.append([value for value, _ in found])
        chance[f"c{place}"] = stacked([each for _, each in found])
    units = tuple(("0", str(seed)) for seed in range(len(values[0])))
    return Sample(
        units=units, categories=tuple(chance), values_SC=np.transpose(values), images=chance
    )


def of_images(aurocs, *, seeds, seed_sd=0.0, counts=(80, 60), categories=1) -> Draw:
    """Interval of the AUROC of one method, or of the difference between two, on drawn test images."""

    def draw(rng):
        images = [
            Images(rng, normal=counts[0], defective=counts[1], seed_sd=seed_sd)
            for _ in range(categories)
        ]
        found = [
            image_sample(
                images, [own.scores(auroc, seeds, rng.normal(size=sum(counts))) for own in images]
            )
            for auroc in aurocs
        ]
        true = [truth(auroc, seed_sd) for auroc in aurocs]
        if len(found) == 1:
            interval = within_bounds(found[0].interval())
            return interval.low, interval.high, true[0]
        interval = difference(*found).interval()
        return interval.low, interval.high, true[0] - true[1]

    return draw


def of_area(aurocs, shares, *, seeds, seed_sd) -> Draw:
    """Interval of the area under AUROC over contamination, with the same test images at each ratio."""

    def draw(rng):
        images = Images(rng, seed_sd=seed_sd)
        method_N = rng.normal(size=len(images.labels_N))
        points = [
            image_sample([images], [images.scores(auroc, seeds, method_N)]) for auroc in aurocs
        ]
        weights = area_weights(shares)
        found = combine(list(zip(weights, points, strict=True))).interval()
        target = float(weights @ [truth(auroc, seed_sd) for auroc in aurocs])
        return found.low, found.high, target

    return draw


def of_the_best(means, *, seeds, sd) -> Draw:
    """Bounds 0 and 1 around 0.5 if the truly best method is the best or a tie, else around 2."""

    def draw(rng):
        named = {
            f"m{i}": Sample(
                units=tuple(("0", str(s)) for s in range(seeds)),
                categories=("c",),
                values_SC=mean + sd * (1 + i % 3) * rng.normal(size=(seeds, 1)),
            )
            for i, mean in enumerate(means)
        }
        verdict = against_best(named)[f"m{int(np.argmax(means))}"].verdict
        return 0.0, 1.0, 0.5 if verdict in ("best", "tie") else 2.0

    return draw


SMALL = {"seed_sd": 0.3, "category_sd": 1.0, "rest_sd": 0.5}
EQUAL = {"seed_sd": 1.0, "category_sd": 1.0, "rest_sd": 1.0}
CURVE = ((0.95, 0.9, 0.8), (0.0, 0.1, 0.25))


def scenarios() -> Iterable[Scenario]:
    """Scenarios of the table in docs/statistics.md."""
    yield Scenario("images", "AUROC .90", "80 + 60 images", of_images([0.9], seeds=1))
    yield Scenario(
        "images", "AUROC .85", "20 + 20 images", of_images([0.85], seeds=1, counts=(20, 20))
    )
    two = [0.9, 0.85]
    yield Scenario("images", "AUROC .90 - .85", "80 + 60 images", of_images(two, seeds=1))
    yield Scenario("images", "AUROC .98 - .95", "80 + 60 images", of_images([0.98, 0.95], seeds=1))
    for seeds in (3, 5, 10):
        one = gaussian(seeds, 1, seed_sd=1.0, category_sd=0.0, rest_sd=0.0)
        yield Scenario("seeds", "mean", f"{seeds} seeds", of_values(one, "fixed"))
    nested = gaussian(3, 1, noises=4, noise_sd=0.7, seed_sd=1.0, category_sd=0.0, rest_sd=0.0)
    yield Scenario("noise and training seeds", "mean", "4 x 3 seeds", of_values(nested, "fixed"))
    for seeds in (3, 5):
        for sd in (0.05, 0.3):
            draw = of_images(two, seeds=seeds, seed_sd=sd)
            name = f"{seeds} seeds (sd {sd}), 80 + 60 images"
            yield Scenario("seeds and images", "AUROC .90 - .85", name, draw, 3.0)
    draw = of_images(two, seeds=3, seed_sd=0.2, categories=3, counts=(40, 40))
    yield Scenario("seeds and images", "AUROC .90 - .85", "3 seeds, 3 fixed categories", draw, 8.0)
    area = of_area(*CURVE, seeds=3, seed_sd=0.2)
    yield Scenario("seeds and images", "area under AUROC", "3 seeds, 3 ratios", area, 5.0)
    for shape in ((3, 3), (3, 5), (3, 15), (5, 15)):
        for name, sds in (("categories vary most", SMALL), ("all vary equally", EQUAL)):
            units = f"{shape[0]} seeds x {shape[1]} drawn categories, {name}"
            own = gaussian(*shape, **sds)
            yield Scenario("seeds and categories", "mean", units, of_values(own, "drawn"))
    equal = of_the_best([0.5] * 6, seeds=3, sd=0.01)
    yield Scenario(
        "marks", "the best is among best and ties", "6 equal methods, 3 seeds", equal, 3.0
    )
    apart = of_the_best([0.5, 0.495, 0.49, 0.48, 0.4, 0.3], seeds=5, sd=0.01)
    yield Scenario("marks", "the best is among best and ties", "6 methods, 5 seeds", apart, 3.0)


def two_seeds() -> Iterable[Scenario]:
    """Scenario in which intervals are known to cover too little: two seeds that vary more than images do."""
    draw = of_images([0.9, 0.85], seeds=2, seed_sd=0.3)
    yield Scenario(
        "seeds and images", "AUROC .90 - .85", "2 seeds (sd 0.3), 80 + 60 images", draw, 3.0
    )


def bootstraps() -> Iterable[Scenario]:
    """Percentile bootstraps of the same results, which earlier versions used."""
    one = gaussian(3, 1, seed_sd=1.0, category_sd=0.0, rest_sd=0.0)
    yield Scenario("seeds", "mean", "3 seeds", percentile(one, "fixed"))
    both = gaussian(3, 3, **SMALL)
    yield Scenario(
        "seeds and categories", "mean", "3 seeds x 3 drawn categories", percentile(both, "drawn")
    )
