"""Tables of distances: the bits of direct computation, whatever the blocks; computed once, or again if damaged."""

import numpy as np
import pytest

from harness.distances import image_distances
from harness.errors import InputError
from harness.features import CategoryFeatures
from harness.memory import distance_tables
from harness.memory.distance_tables import BLOCK, DistanceTable, TableRequest, fill_tables
from harness.runtime.cache import EntryWriter
from harness.runtime.compute import InProcess
from tests.harness.distances.test_distances import unit

IMAGES = 2 * BLOCK + 7


def category(folder, features_NPC):
    draft = EntryWriter(folder)
    draft.array("memory", features_NPC.shape, np.float16)[:] = features_NPC
    draft.publish()
    return CategoryFeatures(folder)


@pytest.fixture
def features(tmp_path):
    return category(tmp_path / "features", unit(np.random.default_rng(4), IMAGES, 6, 8))


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize(
    "columns", [np.arange(IMAGES), np.arange(3, IMAGES, 2), np.array([1, IMAGES - 1])]
)
def test_a_table_equals_direct_computation(features, columns, precision):
    request = TableRequest(features, columns, "cosine", precision)
    fill_tables([request], compute=InProcess())
    table = DistanceTable(request.entry)
    whole = features.memory_NPC
    direct = image_distances(whole, whole[columns], precision=precision)
    np.testing.assert_array_equal(table.columns_M, columns)
    np.testing.assert_allclose(table.distances_NPM, direct, atol=1e-6)


def refuse(*args, **options):
    raise AssertionError("this must not be called again")


def test_a_table_is_computed_once(features, monkeypatch):
    request = TableRequest(features, np.arange(IMAGES), "cosine", "exact")
    fill_tables([request], compute=InProcess())
    monkeypatch.setattr(distance_tables, "block_distances", refuse)
    fill_tables([request], compute=InProcess())


def test_an_interrupted_table_is_computed_from_the_start(features, monkeypatch):
    request = TableRequest(features, np.arange(IMAGES), "cosine", "exact")
    real, calls = distance_tables.block_distances, []

    def die_late(*args, **options):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as broken:
        broken.setattr(distance_tables, "block_distances", die_late)
        with pytest.raises(KeyboardInterrupt):
            fill_tables([request], compute=InProcess())
    assert not request.entry.exists()
    fill_tables([request], compute=InProcess())
    whole = features.memory_NPC
    np.testing.assert_allclose(
        DistanceTable(request.entry).distances_NPM, image_distances(whole, whole), atol=1e-6
    )


def test_features_that_are_no_numbers_leave_no_table(tmp_path):
    broken = unit(np.random.default_rng(4), 5, 6, 8)
    broken[3, 2, 1] = np.nan
    request = TableRequest(category(tmp_path / "nan", broken), np.arange(5), "cosine", "exact")
    with pytest.raises(InputError, match="NaN or infinity"):
        fill_tables([request], compute=InProcess())
    assert not request.entry.exists()
