"""A stored run is run again, and all its values are compared."""

from dataclasses import replace

import pytest

from harness.errors import InputError
from harness.experiment import run
from harness.experiment.reproduce import verify
from harness.runtime.compute import InProcess
from harness.runtime.hardware import describe_hardware
from tests.support.stored_study import stored


def test_a_stored_run_is_run_again_and_compared(small, tmp_path):
    tracker, _ = stored(small, tmp_path, (0.5,))
    (run_id,) = tracker.runs("small")["run_id"]
    places = {"data": small.data, "cache": small.cache, "compute": InProcess()}
    found = verify(tracker.run(run_id), **places)
    assert found.largest == 0
    assert len(found.values) > 20
    name = "all/image_auroc/mean"
    value = tracker._client.get_run(run_id).data.metrics[name]
    tracker._client.log_metric(run_id, name, value - 0.125)
    other = verify(tracker.run(run_id), **places)
    assert other.largest == pytest.approx(0.125)
    assert other.environment_changes["machine"] == ("two cores", describe_hardware()["machine"])
    assert other.environment_changes["git"][0] == "abc"
    assert other.environment_changes["workers"] == ("2", "0")
    with pytest.raises(InputError, match="has no run 'nothing'"):
        verify(tracker.run("nothing"), **places)
    with pytest.raises(InputError, match="no run"):
        verify(replace(tracker, uri=f"sqlite:///{tmp_path / 'none.db'}").run(run_id), **places)
    assert not (tmp_path / "none.db").exists()


def test_nothing_that_was_computed_before_is_read_when_a_run_is_verified(
    small, tmp_path, monkeypatch
):
    """The cache of the store's own numbers would confirm them whatever is wrong with it."""
    tracker, _ = stored(small, tmp_path, (0.5,))
    (run_id,) = tracker.runs("small")["run_id"]
    before, seen = sorted(small.cache.iterdir()), []

    def capture_outputs(experiment, *, data, cache, compute):
        seen.append((cache, list(cache.iterdir())))
        return run(experiment, data=data, cache=cache, compute=compute)

    monkeypatch.setattr("harness.experiment.reproduce.run", capture_outputs)
    found = verify(tracker.run(run_id), data=small.data, cache=small.cache, compute=InProcess())
    assert found.largest == 0
    assert [files for _, files in seen] == [[]]
    assert not seen[0][0].exists()
    assert sorted(small.cache.iterdir()) == before
