"""Plug-ins: modules of installed packages are found as our own files are; an error names the package."""

import sys
from dataclasses import replace

import pytest

import reports
import sweeps
from harness.cli.check import Check
from harness.config.discovery import module_in, module_named, module_names
from harness.config.fingerprint import canonical_repr
from harness.config.serialization import from_dict, to_dict
from harness.config.versions import describe_versions
from harness.datasets.discovery import dataset_named
from harness.detectors import MemoryDetector
from harness.detectors.encoders import encoder_named
from harness.errors import InputError, UsageError
from harness.features.encoder import Encoder
from harness.inference.methods import method_named
from harness.noise import Noise
from sweeps.launch.studies import check_study, load_study
from tests.support.plugins import Installed

DETECTOR = """
from dataclasses import dataclass
from baselines.patchcore import PatchCore

@dataclass(frozen=True, kw_only=True)
class SoftPatch(PatchCore):
    name = "mine"
"""
DATASET = """
from dataclasses import dataclass
from harness.datasets import make_table, require_folder

@dataclass(frozen=True, kw_only=True)
class Parts:
    name = "NAME"
    source = "Ask for it."
    mask_above = 0
    expected = {}

    def samples(self, root):
        require_folder(root, source=self.source)
"""
PROTOCOL = """
from harness.noise.contamination import Protocol
PROTOCOLS = {"half": Protocol(base="total", rounding="floor")}
"""
ENCODER = """
import timm
from timm.models import register_model

@register_model
def mine_tiny(pretrained=False, **settings):
    return timm.create_model("resnet18", pretrained=False, **settings)
"""
STUDY = '''"""Study of one experiment."""
from harness.detectors import MemoryDetector

def experiments(profile):
    return [profile.experiment(MemoryDetector(), 0.0)]
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    installed = Installed(tmp_path / "site")
    yield installed
    installed.remove()


def test_a_detector_of_a_package_is_a_method_with_keys_and_records(site, small):
    site.install("mine", {"detectors": {"mine": "mine_detector"}}, mine_detector=DETECTOR)
    detector = method_named("mine").detector
    assert from_dict(to_dict(detector)) == detector
    assert "version.mine" in describe_versions()
    ours = method_named("softpatch").detector
    # A class of the same name with the same settings is another detector.
    assert canonical_repr(detector).startswith("mine_detector.SoftPatch(")
    assert canonical_repr(ours).startswith("SoftPatch(")
    experiment = small.experiment(detector)
    assert from_dict(to_dict(experiment)).key == experiment.key


def test_a_dataset_of_a_package_has_its_name_in_commands(site, tmp_path):
    site.install("parts", {"datasets": {"x": "parts"}}, parts=DATASET.replace("NAME", "parts"))
    assert dataset_named("parts").source == "Ask for it."
    with pytest.raises(InputError, match="Ask for it"):
        Check(dataset="parts", data=tmp_path / "nowhere", cache=tmp_path / "cache").run()
    with pytest.raises(UsageError, match=r"Datasets: .*textures, visa, parts"):
        dataset_named("nothing")


def test_a_protocol_of_a_package_is_part_of_the_key_with_its_rules(site, small):
    with pytest.raises(InputError, match="no noise protocol 'half'"):
        Noise(ratio=0.2, protocol="half")
    site.install("half", {"protocols": {"half": "half_rules"}}, half_rules=PROTOCOL)
    noise = Noise(ratio=0.2, protocol="half")
    assert noise.rule.wanted(100, 0.2) == 25
    experiment = small.experiment(MemoryDetector(), noise=noise)
    key = experiment.key
    site.remove()
    changed = PROTOCOL.replace('"floor"', '"half_even"')
    (site.folder / "half_rules.py").write_text(changed)
    sys.modules.pop("half_rules", None)
    assert replace(experiment).key != key


def test_an_encoder_of_a_package_is_a_model_of_timm(site):
    site.install("tiny", {"encoders": {"tiny": "tiny_encoder"}}, tiny_encoder=ENCODER)
    assert encoder_named("mine_tiny", Encoder()).name == "mine_tiny"


def test_studies_and_reports_of_a_package_are_listed_after_ours(site):
    names = {"studies": {"mine": "mine_study"}, "reports": {"mine": "mine_report"}}
    site.install("mine", names, mine_study=STUDY, mine_report="TITLE = 'Mine'")
    assert module_names("studies", sweeps)[-1] == "mine"
    check_study("mine")
    assert load_study("mine").__name__ == "mine_study"
    assert module_named("reports", reports, "mine").TITLE == "Mine"
    with pytest.raises(UsageError, match=r"no study 'nothing'. Studies: .*, mine, or the path"):
        check_study("nothing")


@pytest.mark.parametrize(
    ("groups", "text", "message"),
    [
        (
            {"datasets": {"x": "faulty"}},
            "import nothing_of_this_name",
            "The plug-in package faulty cannot be used: its module faulty, .*ModuleNotFoundError",
        ),
        (
            {"datasets": {"x": "faulty"}},
            DATASET.replace("NAME", "visa"),
            "The plug-in package faulty brings 'visa' in meds_bench.datasets, but this name is taken",
        ),
        (
            {"dataset": {"x": "faulty"}},
            "",
            "The plug-in package faulty has an entry point 'x' in the group meds_bench.dataset, which",
        ),
        (
            {"datasets": {"x": "missing_module"}},
            "",
            "The plug-in package faulty cannot be used: its module missing_module",
        ),
    ],
)
def test_a_broken_package_is_named_in_one_paragraph(site, groups, text, message):
    site.install("faulty", groups, faulty=text)
    with pytest.raises(InputError, match=message) as error:
        dataset_named("visa")
    assert "pip uninstall faulty" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_of_ours_cannot_be_taken_by_a_study(site):
    site.install("faulty", {"studies": {"rho": "faulty"}}, faulty=STUDY)
    with pytest.raises(InputError, match=r"package faulty brings 'rho' in meds_bench.studies"):
        check_study("rho")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rho.py", STUDY, "has the name of another study"),
        ("nowhere.py", None, "There is no file"),
        ("json.py", STUDY, "'json' is the name of another module"),
        ("my-study.py", STUDY, "is no Python name"),
        ("faulty_study.py", "import nothing_of_this_name", "faulty_study.py cannot be imported"),
        ("empty_study.py", "", "defines no study"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path, name, text, message):
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=message):
        checked_study(str(file))


def checked_study(study):
    check_study(study)
    return load_study(study)


def test_a_file_is_imported_once(tmp_path):
    file = tmp_path / "imported_once.py"
    file.write_text(STUDY)
    try:
        assert module_in(file) is module_in(file)
        assert sys.modules["imported_once"].__file__ == str(file)
    finally:
        sys.modules.pop("imported_once", None)
