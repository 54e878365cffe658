"""Dry runs and parts of studies: what they say is what the study would do, and they leave nothing behind."""

import itertools
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from PIL import Image

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from harness.cluster.options import ClusterOptions
from harness.config.file_ref import file_ref
from harness.config.settings import steps_of
from harness.detectors import MemoryDetector, ReconstructionDetector
from harness.detectors.meds import MeDS
from harness.errors import InputError, UsageError
from harness.experiment import prepare
from harness.experiment.cost import forecast
from harness.experiment.preparation import candidates_of
from harness.features.backbone import import_timm
from harness.features.pdn import random_weights
from harness.features.teacher import write_weights
from harness.memory import MemoryEnsemble
from harness.memory.distance_tables import TableRequest, _blocks
from harness.noise import Noise
from harness.runtime.compute import InProcess
from harness.tracking.study_members import StudyScope
from harness.training.optimizer import TrainingConfig
from sweeps.launch.dry_run import as_text, dry_run
from sweeps.launch.study_filter import StudyFilter
from sweeps.mvtec_ad import experiments as main_table
from sweeps.profiles.local import LAPTOP, MTD, SMOKE
from sweeps.profiles.paper import LOCO, MVTEC_AD
from sweeps.rho import experiments as rho_study
from sweeps.theorem import experiments as theorem_study
from tests.support.commands import as_a_user, command, refused
from tests.support.dataset import NETWORK
from tests.sweeps.test_sweeps import STUDIES, cells


@pytest.fixture
def study(small):
    """Two memories and a network at two noise ratios."""
    detectors = [
        MemoryDetector(memory=MemoryEnsemble(ratio=0.5)),
        MemoryDetector(memory=MemoryEnsemble(ratio=0.1)),
        ReconstructionDetector(network=NETWORK),
    ]
    cells = [small.experiment(d, noise=Noise(ratio=r)) for d in detectors for r in (0.0, 0.3)]
    return {experiment.key: experiment for experiment in cells}


def test_what_is_left_is_counted_before_and_after(small, study, tmp_path):
    places = {"data": small.data, "cache": tmp_path}
    before = forecast(study, **places, finished=set(), rates={"MemoryDetector": 2.0})
    encoding, comparing, reading = before.steps
    tables = [
        TableRequest(features, columns_M, "cosine", "exact")
        for features, columns_M in candidates_of(small.prepared).items()
    ]
    assert encoding.missing == encoding.wanted == len(small.prepared.samples)
    assert comparing.missing == sum(block.pairs for table in tables for block in _blocks(table))
    assert reading.missing == 2 * 2 * 3 * 2  # every memory also with each training image left out
    assert before.unknown == ["plain network"]
    work = sum(step.seconds for step in before.steps)
    assert before.total(2) == pytest.approx((work + 4 * 2.0) / 2)
    prepare(study.values(), **places, compute=InProcess())
    disk = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    assert sum(step.gigabytes for step in before.steps) == pytest.approx(disk / 1e9, rel=0.01)
    after = forecast(study, **places, finished=set(list(study)[:4]), rates={})
    assert [step.missing for step in after.steps] == [0]
    assert list(after.missing) == list(study)[4:]
    text = as_text(after, tmp_path)
    assert "2 x plain network: none was run on this data yet" in text
    assert "excluding plain network" in text


def test_what_trains_longer_is_expected_to_take_longer(small, tmp_path):
    """By its steps: in all phases, and without those of a teacher that is made once."""
    half, whole = (MeDS(network=NETWORK, distillation=TrainingConfig(steps=s)) for s in (100, 200))
    cells = {e.key: e for e in (small.experiment(half), small.experiment(whole))}
    places = {"data": small.data, "cache": tmp_path}
    found = forecast(cells, **places, finished=set(), rates={"MeDS": 0.5})
    steps = [s + half.finetuning.steps for s in (100, 200)]
    assert [found.seconds[key] for key in cells] == [0.5 * count for count in steps]
    assert "2 x MeDS: 84 min to 85 min each" in as_text(found, tmp_path)
    assert steps_of(SMOKE.experiment(SMOKE.system(AD2).detector, 0.0).params) == 10
    assert steps_of(small.experiment(MemoryDetector()).params) == 1


def test_a_part_of_a_study_is_chosen_by_method_seed_and_number():
    cells = rho_study(LAPTOP)
    plain = StudyFilter(method=("plain",)).select(cells)
    assert {e.detector.name for e in plain} == {"plain"}
    assert StudyFilter(limit=3).select(cells) == cells[:3]
    assert StudyFilter(seed=(0,)).select(cells) == cells
    seeded = StudyFilter(seed=(1, 2)).select(cells)
    assert {(e.detector.name, e.seed) for e in seeded} == {
        ("memory", 0),
        *itertools.product(("meds", "plain"), (1, 2)),
    }
    networks = sum(e.detector.name != "memory" for e in cells)
    assert len(seeded) == len(cells) + networks
    with pytest.raises(
        UsageError, match=r"no experiment of method gan\. Its methods: memory, meds, plain"
    ):
        StudyFilter(method=("gan",)).select(cells)
    with pytest.raises(UsageError, match="With these options the study has no experiment"):
        StudyFilter().select(theorem_study(replace(LAPTOP, noise_ratios=(0.0,))))
    with pytest.raises(UsageError, match="at least 1, got 0"):
        StudyFilter(limit=0).select(cells)


def test_a_teacher_and_foreign_images_are_chosen_for_both_methods_that_learn_from_them(tmp_path):
    file = tmp_path / "mine.pt"
    write_weights(random_weights(channels=8, width=8), file)
    foreign = tmp_path / "photographs"
    foreign.mkdir()
    Image.new("RGB", (8, 8)).save(foreign / "a.png")
    chosen = StudyFilter(teacher=str(file), penalty_images=str(foreign)).restrict(LOCO)
    students = [chosen.system(EfficientAD).detector, chosen.system(AD2).detector.student]
    for student, before in zip(
        students,
        [LOCO.system(EfficientAD).detector, LOCO.system(AD2).detector.student],
        strict=True,
    ):
        assert student == replace(before, teacher=file_ref(file), penalty=str(foreign))
    assert StudyFilter().restrict(LOCO) == LOCO


def test_files_are_named_on_the_command_line(tmp_path):
    file = tmp_path / "given"
    file.write_text("content")
    noise = StudyFilter(protocol=f"list:{file}", noise_seed=3).restrict(LOCO).noise
    assert noise == Noise(protocol="list", listed=file_ref(file), seed=3)
    for option in (
        {"weights": (f"{LOCO.encoder.name}=gone",)},
        {"teacher": "gone"},
        {"protocol": "list:gone"},
    ):
        with pytest.raises(InputError, match="gone does not exist"):
            StudyFilter(**option).restrict(LOCO)
    for protocol in ("list", "meds:gone"):
        with pytest.raises(InputError, match="--protocol list:FILE"):
            StudyFilter(protocol=protocol).restrict(LOCO)


def test_weights_go_to_every_encoder_of_the_name_and_to_no_other(tmp_path):
    """The profile's own, and those of networks and methods beside it."""
    name, before = MVTEC_AD.encoder.name, main_table(MVTEC_AD)
    with torch.device("meta"):
        shapes = {n: v.shape for n, v in import_timm().create_model(name).state_dict().items()}
    file = tmp_path / "dinov2.pth"
    torch.save({n: torch.zeros(()).expand(shape) for n, shape in shapes.items()}, file)
    after = main_table(StudyFilter(weights=(f"{name}={file}",)).restrict(MVTEC_AD))
    assert {e.encoder.name for e in before} > {name}
    for one, other in zip(before, after, strict=True):
        given = file_ref(file) if one.encoder.name == name else one.encoder.weights
        assert other == replace(one, encoder=replace(one.encoder, weights=given))
    with pytest.raises(UsageError, match=rf"'resnet18', but .* Its encoders: .*{name}"):
        StudyFilter(weights=(f"resnet18={file}",)).restrict(MVTEC_AD)
    torch.save({"weight": torch.zeros(1)}, file)
    with pytest.raises(
        InputError, match=r"dinov2\.pth does not hold the weights of VisionTransfor"
    ):
        StudyFilter(weights=(f"{name}={file}",)).restrict(MVTEC_AD)


def test_axes_and_categories_narrow_the_profile():
    from harness.datasets.mvtec_ad import MVTecAD

    several = replace(LAPTOP, dataset=MVTecAD())
    narrow = StudyFilter(category=("bottle",), noise=(0.2,), rho=(0.5,), protocol="imiad").restrict(
        several
    )
    assert narrow.dataset == MVTecAD(categories=("bottle",))
    assert not narrow.several_categories
    assert (narrow.noise_ratios, narrow.rhos, narrow.meds_rhos) == ((0.2,), (0.5,), (0.5,))
    assert narrow.noise.protocol == "imiad"
    with pytest.raises(InputError, match="categories of magnetic_tile cannot be selected"):
        StudyFilter(category=("blowhole",)).restrict(MTD)


def test_what_leaves_cells_out_is_part_of_a_study_and_what_changes_all_is_a_variant(tmp_path):
    for option in ("noise", "rho", "method", "seed"):
        assert StudyFilter(**{option: (0,)}).scope == StudyScope(whole=False)
    assert StudyFilter(limit=1).scope == StudyFilter(noise_seed=10).scope == StudyScope(whole=False)
    assert StudyFilter().scope == StudyScope()
    file = tmp_path / "list.csv"
    file.write_text("filename\na.png\n")
    digest = file_ref(file).digest
    assert StudyFilter(protocol="softpatch").scope == StudyScope(variant="protocol softpatch")
    listed = StudyFilter(protocol=f"list:{file}", weights=(f"net={file}",), limit=1).scope
    assert listed == StudyScope(
        whole=False, variant=f"protocol list, list {digest}, weights net={digest}"
    )


def test_a_dry_run_prints_every_experiment_and_leaves_no_results(tmp_path):
    places = ("--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"))
    answer = command("sweeps", "rho", "--profile", "smoke", "--dry-run", "--noise", "0.4", *places)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("to run ") == 3 + 1 + 3  # memories, MeDS, one of each other method
    assert "7 experiments, 0 finished, 7 to run" in answer.stdout
    assert "3 x memory ensemble: none was run on this data yet" in answer.stdout
    assert not (tmp_path / "runs").exists()


OFFLINE = """
import contextlib, runpy, socket, sys

def refuse(*arguments, **options):
    print("asked:", arguments, file=sys.stderr)
    raise OSError("there is no network here")

socket.getaddrinfo = socket.socket.connect = refuse
for name in ("resnet18", "legacy_seresnet18"):
    sys.argv[1:] = ["rho", "--encoder", name, *OPTIONS]
    with contextlib.suppress(SystemExit):
        runpy.run_module("sweeps", run_name="__main__", alter_sys=True)
"""


def test_a_dry_run_asks_no_hub_for_weights(tmp_path):
    """Neither the hub that has most models, nor the address that timm has for a few others."""
    places = ("--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"))
    options = ["--profile", "smoke", "--noise", "0.4", "--dry-run", *places]
    start = as_a_user(HF_HOME=str(tmp_path / "hub"), TORCH_HOME=str(tmp_path / "hub"))
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        start["env"].pop(switch, None)
    script = f"OPTIONS = {options}\n{OFFLINE}"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, **start
    )
    assert "asked:" not in answer.stderr
    for name in ("resnet18", "legacy_seresnet18"):
        expected = f"Not checked: the weights of {name}, which the study takes from a hub."
        assert expected in answer.stdout, answer.stderr


def test_a_dry_run_refuses_a_cluster_that_does_not_answer(empty):
    where = replace(empty, address="127.0.0.1:9")
    experiments = cells("rho", SMOKE)[:1]
    with pytest.raises(InputError, match=r"No Ray cluster answers at 127\.0\.0\.1:9"):
        dry_run("rho", "smoke", experiments, data=empty.cache_dir / "textures", where=where)


@pytest.mark.ray
def test_a_dry_run_refuses_more_workers_than_there_are(tmp_path):
    options = ("--profile", "smoke", "--limit", "1", "--workers", "5000", "--dry-run")
    assert "5000 workers per training were asked for" in refused(tmp_path, *options)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Where nothing is but the drawn images of the smoke profile."""
    return ClusterOptions(storage=str(tmp_path_factory.mktemp("empty")))


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_can_be_looked_at_before_it_runs(study, empty, capsys):
    experiments = cells(study, SMOKE)
    dry_run(study, "smoke", experiments, data=empty.cache_dir / "textures", where=empty)
    printed = capsys.readouterr().out
    assert printed.count("to run    ") == len(experiments)
    assert f"{len(experiments)} experiments, 0 finished, {len(experiments)} to run" in printed


def test_a_thousand_experiments_are_planned_within_ten_seconds(empty, capsys):
    """Processor time counts, since tests share their machine. A first plan imports modules and draws the images."""
    places = {"data": empty.cache_dir / "textures", "where": empty}
    dry_run("rho", "smoke", cells("rho", SMOKE), **places)
    rhos = tuple(0.01 * i for i in range(1, 26))
    noises = tuple(0.05 * i for i in range(20))
    large = replace(SMOKE, rhos=rhos, meds_rhos=rhos, noise_ratios=noises)
    start = time.process_time()
    experiments = cells("rho", large)
    dry_run("rho", "large", experiments, **places)
    assert time.process_time() - start < 10
    assert "1060 experiments, 0 finished" in capsys.readouterr().out
