"""Methods by name, with settings for a laptop or those of their authors; ours and those of plug-ins are found."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, cast

from harness.anomaly_maps import MapSettings
from harness.config.discovery import modules_of, with_plugins
from harness.config.file_ref import FileRef
from harness.detectors import AdaptiveMemoryDetector, Detector, MeDS, presets
from harness.detectors.laptop import MEDS, MEMORY, PLAIN, TUNED
from harness.errors import UsageError
from harness.features.encoder import Encoder

DEFAULT = "memory"
"""Method of a detector that is fitted without naming a method."""
BASELINES = "baselines"
"""Package whose modules hold further methods."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A detector with the encoder and the maps that belong to it."""

    detector: Detector
    """Method and its hyperparameters."""
    encoder: Encoder = Encoder()
    """Encoder of the images."""
    maps: MapSettings | None = None
    """Settings of maps and image scores; None for those of the detector's authors."""
    size: int = 256
    """Side of the maps in pixels."""

    @property
    def rule(self) -> MapSettings:
        """Settings of maps and image scores."""
        return self.maps or self.detector.maps


def methods() -> dict[str, Method]:
    """Return all methods with settings for the shipped encoder and a laptop, by name.

    Raises:
        InputError: a plug-in cannot be used.

    >>> {"memory", "meds", "patchcore", "efficient_ad"} <= set(methods())
    True
    """
    own = {
        "memory": MEMORY,
        "adaptive_memory": AdaptiveMemoryDetector(),
        "plain": PLAIN,
        "distilled": _distilled(MEDS),
        "meds": MEDS,
        "meds_tuned": TUNED,
    }
    found = {name: Method(detector=cast(Detector, each)) for name, each in own.items()}
    if (package := _baselines()) is not None:
        for name in modules_of(package):
            found |= _methods_in(importlib.import_module(f"{BASELINES}.{name}"))
        laptop = importlib.import_module(f"{BASELINES}.laptop")
        found |= {each.detector.name: _of(each) for each in laptop.METHODS}
    return with_plugins("detectors", found, _methods_in)


def _methods_in(module: ModuleType) -> dict[str, Method]:
    return {each.name: _with_pixels(each) for each in detectors_in(module)}


def _with_pixels(detector: Detector) -> Method:
    """Return the method on the shipped encoder, which keeps the pixels for a detector that reads nothing else."""
    return Method(detector=detector, encoder=Encoder(pixels=detector.requirements.pixels_alone))


def method_named(name: str, *, released: bool = False) -> Method:
    """Return the method with this name.

    Args:
        name: Name of the method.
        released: True for the settings and the encoder of its authors.

    Raises:
        UsageError: no method has this name, or it has no settings of its authors.
    """
    known = _released() if released else methods()
    if name not in known:
        which = "method with settings of its authors" if released else "method"
        raise UsageError(f"There is no {which} {name!r}. Methods: {', '.join(sorted(known))}.")
    return known[name]


def with_steps(detector: Detector, steps: int) -> Detector:
    """Return the detector with another number of training steps; MeDS splits them as before between its stages.

    Raises:
        UsageError: the detector is not trained in steps, or needs more steps.
    """
    changed: Any = detector
    if isinstance(detector, MeDS):
        stages = detector.distillation, detector.finetuning
        if steps < sum(stage is not None for stage in stages):
            raise UsageError(
                f"MeDS needs a step per stage: --steps must be at least 2, got {steps}."
            )
        total = sum(stage.steps for stage in stages if stage)
        first = round(steps * stages[0].steps / total) if stages[0] else 0
        first = max(1, min(first, steps - 1)) if all(stages) else first
        lengths = (first, steps - first)
        distillation, finetuning = (
            stage and replace(stage, steps=length, images=None)
            for stage, length in zip(stages, lengths, strict=True)
        )
        return replace(detector, distillation=distillation, finetuning=finetuning)
    if hasattr(changed, "training"):
        return replace(changed, training=replace(changed.training, steps=steps, images=None))
    if hasattr(_student(changed), "steps"):
        return with_student(detector, steps=steps)
    raise UsageError(f"--steps does not apply to {detector.title}, which is not trained in steps.")


def with_student(detector: Detector, **changes: Any) -> Detector:
    """Return EfficientAD or AD2 with other settings of the student.

    Raises:
        UsageError: the detector is another one.
    """
    student = _student(detector)
    if not hasattr(student, "teacher"):
        raise UsageError(f"{detector.title} has no teacher, so --teacher does not apply to it.")
    return _replaced(detector, changes)


def _replaced(detector: Any, changes: Mapping[str, Any]) -> Detector:
    """Return the detector with other settings, or with those of its student."""
    student = _student(detector)
    changed = replace(student, **changes)
    return cast(Detector, changed if student is detector else replace(detector, student=changed))


def with_size(method: Method, image_size: int) -> Method:
    """Return the method for whole images of another size in pixels, without a crop."""
    encoder = replace(method.encoder, image_size=image_size, crop_size=None)
    has_pixels = hasattr(_student(method.detector), "image_size")
    detector = (
        _replaced(method.detector, {"image_size": image_size}) if has_pixels else method.detector
    )
    return replace(method, encoder=encoder, detector=detector)


def check_teacher(detector: Detector) -> None:
    """Raise an error if a method that needs a teacher has none.

    Raises:
        InputError: see `baselines.efficient_ad.EfficientAD.teacher_weights`.
    """
    student = _student(detector)
    if getattr(student, "teacher", FileRef) is None:
        student.teacher_weights()


def _student(detector: Any) -> Any:
    return getattr(detector, "student", detector)


def _distilled(meds: MeDS) -> MeDS:
    return replace(meds, finetuning=None)


def _released() -> Mapping[str, Method]:
    """Return the methods as their authors run them, by name."""
    dinomaly, memory = presets.dinomaly(), presets.release_memory()
    own = {
        "plain": dinomaly.plain,
        "distilled": _distilled(dinomaly.meds),
        "meds": dinomaly.meds,
    }
    found = {
        name: Method(detector=cast(Detector, each), encoder=dinomaly.encoder, maps=dinomaly.maps)
        for name, each in own.items()
    }
    for detector in (memory.detector, AdaptiveMemoryDetector()):
        found[detector.name] = Method(detector=detector, encoder=memory.encoder, maps=memory.maps)
    if _baselines() is None:
        return found
    module = importlib.import_module(f"{BASELINES}.presets")
    made = [value() for name, value in vars(module).items() if _makes_preset(module, name)]
    return found | {each.detector.name: _of(each) for each in made}


def _makes_preset(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    is_public = inspect.isfunction(value) and not name.startswith("_")
    return is_public and value.__module__ == module.__name__


def _of(preset: Any) -> Method:
    """Return the method of a `baselines.presets.MethodPreset`."""
    evaluation = preset.evaluation
    return Method(
        detector=preset.detector,
        encoder=preset.encoder,
        maps=evaluation.maps,
        size=evaluation.size,
    )


def _baselines() -> ModuleType | None:
    try:
        return importlib.import_module(BASELINES)
    except ModuleNotFoundError:
        return None


def detectors_in(module: ModuleType) -> list[Any]:
    """Return the detectors of a module that need no argument, with their default settings."""
    found = []
    for value in vars(module).values():
        is_own = isinstance(value, type) and value.__module__ == module.__name__
        if is_own and dataclasses.is_dataclass(value) and hasattr(value, "restore"):
            needed = [f for f in dataclasses.fields(value) if f.default is f.default_factory]
            found += [] if needed else [cast(Any, value)()]
    return found
