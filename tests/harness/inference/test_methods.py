"""Methods by name, and their settings."""

from dataclasses import replace

import pytest

from harness.config.file_ref import file_ref
from harness.detectors import MeDS
from harness.errors import InputError, UsageError
from harness.inference.methods import (
    DEFAULT,
    check_teacher,
    method_named,
    methods,
    with_size,
    with_steps,
    with_student,
)
from sweeps.profiles import PROFILES

TRAINED = {"plain", "distilled", "meds", "uniad", "reverse_distillation", "efficient_ad", "ad2"}
TRAINED |= {"llbnad", "comet", "meds_tuned"}
NOT_IN_STEPS = {"memory", "patchcore", "softpatch", "inreach", "fun_ad", "musc", "anomaly_dino"}
NOT_IN_STEPS |= {"adaptive_memory", "rad", "subspace_ad"}


def test_every_method_of_the_harness_has_a_name():
    assert set(methods()) == TRAINED | NOT_IN_STEPS
    assert DEFAULT in methods()


@pytest.mark.parametrize("name", sorted((TRAINED | NOT_IN_STEPS) - {"meds_tuned"}))
def test_every_method_has_the_settings_of_a_laptop_and_those_of_its_authors(name):
    laptop, released = method_named(name), method_named(name, released=True)
    assert type(laptop.detector) is type(released.detector)
    assert laptop.encoder.weights == "package"


def test_settings_that_no_author_published_are_named_so():
    with pytest.raises(UsageError, match="no method with settings of its authors 'meds_tuned'"):
        method_named("meds_tuned", released=True)


def test_the_settings_are_those_of_the_profile_for_folders():
    profile = PROFILES["folder"]
    detectors = [method.detector for method in methods().values()]
    own = [
        profile.plain,
        profile.meds,
        profile.tuned,
        *(preset.detector for preset in profile.systems),
    ]
    assert all(each in detectors for each in own)


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_steps_are_those_that_are_asked_for(name):
    detector = with_steps(method_named(name).detector, 12)
    if isinstance(detector, MeDS):
        stages = [stage for stage in (detector.distillation, detector.finetuning) if stage]
        assert sum(stage.steps for stage in stages) == 12
        assert all(stage.steps for stage in stages)
    else:
        student = getattr(detector, "student", detector)
        assert (student.steps if hasattr(student, "steps") else student.training.steps) == 12


@pytest.mark.parametrize("name", sorted(NOT_IN_STEPS))
def test_steps_of_a_method_without_steps_are_refused(name):
    with pytest.raises(UsageError, match="not trained in steps"):
        with_steps(method_named(name).detector, 12)


def test_meds_needs_a_step_per_stage():
    with pytest.raises(UsageError, match="at least 2"):
        with_steps(method_named("meds").detector, 1)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no method 'patch_core'. Methods: ad2, .*patchcore"):
        method_named("patch_core")


def test_another_size_is_that_of_the_whole_image_and_of_the_student():
    dino = with_size(method_named("meds", released=True), 224).encoder
    assert (dino.image_size, dino.input_size) == (224, 224)
    student = with_size(method_named("ad2"), 128)
    assert (student.encoder.image_size, student.detector.student.image_size) == (128, 128)


def test_a_teacher_belongs_to_students_alone(tmp_path):
    (tmp_path / "teacher.pt").write_bytes(b"weights")
    teacher = file_ref(tmp_path / "teacher.pt")
    assert with_student(method_named("efficient_ad").detector, teacher=teacher).teacher == teacher
    with pytest.raises(UsageError, match="has no teacher"):
        with_student(method_named("memory").detector, teacher=teacher)
    released = method_named("ad2", released=True).detector
    with pytest.raises(InputError, match="need a teacher network"):
        check_teacher(released)
    check_teacher(replace(released, student=replace(released.student, teacher="random")))
    check_teacher(method_named("memory").detector)
