"""Rows that several processes insert at once: each request succeeds, and a lasting refusal is raised."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR

from harness.tracking.shared_rows import insert_shared
from tests.support.tracking import tracker_in

PROCESSES, ROUNDS = 4, 4


def at_once(request):
    """Call a request in several threads at the same time, with the number of the thread."""
    together = Barrier(PROCESSES)

    def call(number):
        together.wait()
        insert_shared(lambda: request(number))

    with ThreadPoolExecutor(PROCESSES) as threads:
        list(threads.map(call, range(PROCESSES)))


@pytest.fixture
def clients(tmp_path):
    """Clients of one store, with engines of their own, as processes have them."""
    uri = tracker_in(tmp_path).uri
    return [MlflowClient(tracking_uri=uri) for _ in range(PROCESSES)]


def test_runs_that_end_at_once_share_their_inputs(clients):
    """MLflow alone refuses some of these requests: it looks for a dataset before it inserts it."""
    study = clients[0].create_experiment("study")
    ids = [client.create_run(study).info.run_id for client in clients]
    for digest in map(str, range(ROUNDS)):
        inputs = [DatasetInput(Dataset(name, digest, "local", "{}"), []) for name in ("a", "b")]
        at_once(lambda number, inputs=inputs: clients[number].log_inputs(ids[number], inputs))
    wanted = {(name, digest) for name in ("a", "b") for digest in map(str, range(ROUNDS))}
    for run_id in ids:
        datasets = [each.dataset for each in clients[0].get_run(run_id).inputs.dataset_inputs]
        assert {(each.name, each.digest) for each in datasets} == wanted
        assert len(datasets) == len(wanted)


def test_drivers_that_open_a_study_at_once_tag_its_run(clients):
    study = clients[0].create_experiment("study")
    run_id = clients[0].create_run(study).info.run_id
    for tag in map(str, range(ROUNDS)):
        at_once(lambda number, tag=tag: clients[number].set_tag(run_id, tag, "same"))
    tags = clients[0].get_run(run_id).data.tags
    assert {tags[tag] for tag in map(str, range(ROUNDS))} == {"same"}


@pytest.mark.parametrize(("code", "attempts"), [(BAD_REQUEST, 3), (INTERNAL_ERROR, 1)])
def test_a_lasting_refusal_is_raised(code, attempts):
    """A request with two rows can meet another process twice, so the third refusal has another cause."""
    made = []

    def request():
        made.append(1)
        raise MlflowException("no", error_code=code)

    with pytest.raises(MlflowException, match="no"):
        insert_shared(request)
    assert len(made) == attempts
