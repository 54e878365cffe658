"""Sample tables of datasets that have no files: the counts are all that contamination looks at."""

import json
from importlib import resources

from harness.datasets import make_table
from harness.datasets.mvtec_ad import MVTecAD
from harness.datasets.visa import VisA


def table(counts, dataset="made up"):
    """A sample table with these (normals, goods, anomalies per defect) per category."""
    rows = []
    for category, (normals, goods, defects) in counts.items():
        defects = defects if isinstance(defects, dict) else {"bad": defects}
        rows += [
            (f"{category}/train/good/{i:03}.png", category, "train", "good") for i in range(normals)
        ]
        rows += [
            (f"{category}/test/good/{i:03}.png", category, "test", "good") for i in range(goods)
        ]
        for defect, count in defects.items():
            rows += [
                (f"{category}/test/{defect}/{i:03}.png", category, "test", defect)
                for i in range(count)
            ]
    names = ("image", "category", "split", "defect")
    return make_table(dataset, [dict(zip(names, row, strict=True)) for row in rows])


def mvtec_like():
    """Every category of MVTec AD with its true counts; defects that the published lists name."""
    listed = json.loads(resources.files("harness.noise").joinpath("meds_mvtec_ad.json").read_text())
    counts = {}
    for category, (normals, goods, anomalies) in MVTecAD().expected.items():
        defects: dict[str, int] = {}
        for seeds in listed.values():
            for categories in seeds.values():
                for defect, numbers in categories[category].items():
                    defects[defect] = max(
                        [defects.get(defect, 0), *(int(n) + 1 for n in numbers.split())]
                    )
        assert sum(defects.values()) <= anomalies
        last = sorted(defects)[-1]
        defects[last] += anomalies - sum(defects.values())
        counts[category] = (normals, goods, defects)
    return table(counts, "mvtec_ad")


def visa_like():
    return table(VisA().expected, "visa")
