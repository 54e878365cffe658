"""Teachers: taught what an encoder says, on its grid and in its units, and made by a command that goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from baselines.ad2 import AD2
from baselines.efficient_ad import EfficientAD
from harness.cli.pretrain_teacher import PretrainTeacher
from harness.config.file_ref import file_ref
from harness.errors import InputError, UsageError
from harness.experiment import prepare, run_prepared
from harness.features.encoder import Encoder
from harness.features.encoding import encode
from harness.features.patch_features import LocallyAware
from harness.features.pdn import PatchDescription, apply_pdn, standardised
from harness.features.teacher import Teacher, TeacherDistillation, run_distillation
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess
from tests.support.commands import command

SIZE = 64
LOCAL = Encoder(image_size=128, memory=LocallyAware(modules=("blocks.2", "blocks.4"), dimensions=8))
TRANSFORMER = Encoder(name="test_vit2", weights="random", image_size=80, groups=((1, 2), (3, 4)))


@pytest.fixture
def folder(tmp_path):
    """Photographs in two subfolders, one of them gray."""
    for kind, images in {
        "colour": (data.chelsea(), data.coffee(), data.astronaut()),
        "gray": (data.camera(),),
    }.items():
        (tmp_path / "images" / kind).mkdir(parents=True)
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / "images" / kind / f"{number}.png")
    return tmp_path / "images"


def job(folder, **changes):
    files = tuple(str(file) for file in sorted(folder.rglob("*.png")))
    settings = {"encoder": LOCAL, "width": 8, "image_size": SIZE, "steps": 6, "batch_size": 2}
    return TeacherDistillation(Teacher(**settings | {"learning_rate": 1e-2} | changes), files)


def described(weights, files):
    """What the teacher says, padded, as it learnt to."""
    network = PatchDescription(*(len(weights[f"layers.{i}.bias"]) for i in (12, 0)), padded=True)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    resized = [np.asarray(Image.open(f).convert("RGB").resize((SIZE, SIZE), 2)) for f in files]
    pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return network(standardised(pixels))


def test_a_teacher_comes_to_say_what_the_encoder_says(folder):
    """In the mean over all places it is right after some steps; an untrained one is not."""
    first, last = (
        InProcess().train(run_distillation, job(folder, steps=steps, batch_size=4))
        for steps in (1, 40)
    )
    files = job(folder).files
    said = torch.from_numpy(encode(LOCAL, [*map(type(folder), files)]).memory_NPC).double()
    wanted = (said - said.mean(dim=(0, 1))) / said.std(dim=(0, 1), correction=0)
    wanted = wanted.transpose(1, 2).unflatten(2, (16, 16))  # 128 pixels, stride 8
    off = [(described(weights, files) - wanted).square().mean().item() for weights in (first, last)]
    assert wanted.square().mean().item() == pytest.approx(1)
    assert off[1] < 0.8 < off[0]


def test_any_encoder_can_teach_whatever_its_grid(folder):
    weights = InProcess().train(run_distillation, job(folder, encoder=TRANSFORMER, steps=1))
    network = apply_pdn(weights)
    assert network.channels == 64
    assert network(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 64, 8, 8)


def test_distillation_goes_on_from_a_checkpoint_to_the_same_weights(folder, tmp_path):
    whole = InProcess().train(run_distillation, job(folder))
    seen = []

    def stop(phase, step, count, loss):
        seen.append((phase, step))
        if seen[-1] == ("distilling the teacher", 3) and len(seen) == 4:
            raise KeyboardInterrupt

    compute = InProcess(report=stop, checkpoints=Checkpoints(tmp_path / "checkpoints", every=1))
    with pytest.raises(KeyboardInterrupt):
        compute.train(run_distillation, job(folder))
    resumed = compute.train(run_distillation, job(folder))
    assert [step for phase, step in seen if phase == "measuring the encoder"] == [4]
    assert [step for phase, step in seen if phase != "measuring the encoder"] == [1, 2, 3, 4, 5, 6]
    for name, weights in whole.items():
        np.testing.assert_array_equal(weights, resumed[name])


def test_experiments_make_the_teacher_that_they_name_once(small, tmp_path):
    """Of drawn textures, for EfficientAD and AD2 alike; a detector used outside an experiment needs a file."""
    teacher = Teacher(
        encoder=LOCAL, width=8, image_size=SIZE, steps=2, batch_size=2, measured=2, seed=1
    )
    student = EfficientAD(teacher=teacher, image_size=SIZE, width=8, steps=1)
    methods = (student, AD2(student=replace(student, batch_size=3)))
    experiments = [small.experiment(method, categories=("brick",)) for method in methods]
    places = {"data": small.data, "cache": tmp_path}
    seen = []
    for experiment in experiments:
        prepared = prepare([experiment], **places, compute=InProcess())[experiment.key]
        (file,) = prepared.files.values()
        seen.append(file.stat().st_mtime_ns)
        resolved = prepared.with_files(experiment.detector)
        assert apply_pdn(getattr(resolved, "student", resolved).teacher_weights()).channels == 8
        result = run_prepared(experiment, prepared, data=small.data, compute=InProcess())
        assert result.milliseconds > 0
    assert seen[0] == seen[1]
    assert list((tmp_path / "teachers").glob("*.pt")) == [file]
    with pytest.raises(InputError, match="a detector used outside an experiment needs a file"):
        student.teacher_weights()


def test_settings_that_cannot_work_are_refused(folder):
    with pytest.raises(InputError, match="at least 1"):
        job(folder, steps=0)
    with pytest.raises(InputError, match="multiple of 4 from 36 to 16384"):
        job(folder, image_size=30)


def test_the_command_makes_a_teacher_that_efficient_ad_takes(folder, tmp_path, capsys):
    sizes = {"width": 8, "channels": 12, "image_size": 64, "encoder_size": 64, "batch_size": 2}
    made = PretrainTeacher(
        folder=folder, out=tmp_path / "small.pt", cache=tmp_path / "cache", steps=2, **sizes
    )
    assert made.run() == 0
    assert "after 2 steps. Use it with --teacher " in capsys.readouterr().out
    weights = EfficientAD(teacher=file_ref(tmp_path / "small.pt")).teacher_weights()
    assert [apply_pdn(weights).channels, len(weights)] == [12, 12]
    assert len(list((tmp_path / "cache" / "teachers").glob("*.checkpoint"))) == 1
    assert made.run() == 0
    assert "already made" in capsys.readouterr().out


def test_the_command_refuses_a_folder_without_images(tmp_path):
    answer = command("harness", "pretrain-teacher", str(tmp_path))
    assert answer.returncode == 1
    assert "contains no images" in " ".join(answer.stderr.split())
    with pytest.raises(UsageError, match="in an existing folder"):
        PretrainTeacher(folder=tmp_path, out=tmp_path / "nowhere" / "teacher.pt").run()
