"""Files that settings name: told by their content, wherever they lie, and looked at again when they are read."""

import json
import pickle
import shutil

import pytest

from harness.config.file_ref import file_ref
from harness.config.serialization import from_dict, to_dict
from harness.detectors import MemoryDetector
from harness.errors import InputError
from harness.features.encoder import Encoder
from harness.noise import Noise, contaminate
from harness.runtime.checkpoints import digest
from tests.support.sample_tables import table


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("filename\na/train/good/001.png\na/train/good/002.png\na/test/bad/001.png\n")
    return file


def listed(file):
    return Noise(protocol="list", listed=file_ref(file))


def keys(small, file):
    """Keys of an experiment that names the file as a list, and of one whose encoder has its weights there."""
    encoder = Encoder(weights=file_ref(file))
    return small.experiment(MemoryDetector(), noise=listed(file)).key, small.experiment(
        MemoryDetector(), encoder=encoder
    ).key


def test_an_experiment_is_the_same_wherever_its_files_lie_and_another_with_other_content(
    small, file, tmp_path
):
    before = keys(small, file)
    elsewhere = shutil.copy(file, tmp_path / "copy.csv")
    assert keys(small, elsewhere) == before
    assert digest(listed(elsewhere)) == digest(listed(file))  # of a checkpoint
    file.write_text(file.read_text().replace("002", "003"))
    after = keys(small, file)
    assert set(after).isdisjoint(before)
    assert digest(listed(elsewhere)) != digest(listed(file))


def test_a_file_that_changed_meanwhile_is_refused(file):
    noise, samples = listed(file), table({"a": (5, 2, 4)})
    assert len(contaminate(samples, noise).train) == 3
    file.write_text("filename\na/train/good/001.png\n")
    with pytest.raises(InputError, match=r"list\.csv has changed since its experiment was defined"):
        contaminate(samples, noise)
    file.unlink()
    with pytest.raises(InputError, match=r"list\.csv does not exist"):
        contaminate(samples, noise)


def test_a_named_file_travels(file, small):
    experiment = small.experiment(MemoryDetector(), noise=listed(file))
    assert pickle.loads(pickle.dumps(experiment)).key == experiment.key
    again = from_dict(json.loads(json.dumps(to_dict(experiment))))
    assert again.key == experiment.key
    assert again.noise.listed.checked() == file
