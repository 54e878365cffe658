"""Lists of what the benchmark consists of: studies, profiles, noise protocols, datasets, benchmarks."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import sweeps
from docs.generator.blocks import markdown_table
from harness.config.discovery import modules_of
from harness.config.versions import ROOT
from harness.datasets.discovery import datasets as all_datasets
from harness.detectors import MeDS
from harness.errors import InputError, UsageError
from harness.noise import LIST
from harness.noise.contamination import PROTOCOLS, Protocol
from sweeps.launch.studies import experiments_of
from sweeps.profiles import PROFILES
from sweeps.profiles.contract import Profile


def studies() -> str:
    """Return the table of studies with their subjects and default profiles."""
    rows = [
        [f"`{name}`", subject(study), f"`{getattr(study, 'PROFILE', 'laptop')}`"]
        for name, study in _studies()
    ]
    return markdown_table(["study", "subject", "default profile"], rows)


def experiments() -> str:
    """Return the table of the numbers of experiments by study and profile."""
    rows = [
        [f"`{name}`", *(_count(study, profile) for profile in PROFILES.values())]
        for name, study in _studies()
    ]
    return markdown_table(["study", *(f"`{name}`" for name in PROFILES)], rows)


def _studies() -> Iterator[tuple[str, ModuleType]]:
    for name in modules_of(sweeps):
        yield name, importlib.import_module(f"sweeps.{name}")


def _count(study: ModuleType, profile: Profile) -> str:
    """Return the number of experiments; of a search, the number that no result chooses."""
    try:
        count = len(experiments_of(study, profile))
    except (InputError, UsageError):
        return "–"
    return f"{count} +" if hasattr(study, "search") else str(count)


def profiles() -> str:
    """Return the table of profiles with data, encoder, noise ratios and training lengths."""
    rows = [
        [
            f"`{name}`",
            f"`{profile.dataset.name}`",
            f"`{profile.encoder.name}`, {profile.encoder.image_size} px",
            ", ".join(f"{ratio:.0%}" for ratio in profile.noise_ratios),
            _stages(profile.meds),
            f"{profile.plain.training.steps:,}",
        ]
        for name, profile in PROFILES.items()
    ]
    header = ["profile", "dataset", "encoder", "noise", "steps of MeDS", "plain steps"]
    return markdown_table(header, rows)


def _stages(meds: MeDS) -> str:
    """Return the training steps of the stages of MeDS, such as `75 + 150`."""
    stages = (meds.distillation, meds.finetuning)
    return " + ".join(f"{stage.steps:,}" for stage in stages if stage is not None)


def protocols() -> str:
    """Return the table of noise protocols with their rules."""
    rows = [
        [f"`{name}`", _amount(protocol), _shortage(protocol), _test_set(protocol)]
        for name, protocol in PROTOCOLS.items()
    ]
    listed = [f"`{LIST}:FILE`", "the images that a CSV file names", "", "whole"]
    header = ["protocol", "injected per category", "if A is too small", "test set"]
    return markdown_table(header, [*rows, listed])


def _amount(protocol: Protocol) -> str:
    share = {"normals": "r n", "total": "r n / (1 − r)"}[protocol.base]
    amount = f"{'floor' if protocol.rounding == 'floor' else 'round'}({share})"
    return f"{amount}, in proportion to the kinds of defect" if protocol.stratified else amount


def _shortage(protocol: Protocol) -> str:
    return {
        "cap": "all A are injected",
        "error": "the run is refused",
        "three_quarters": "at most 3/4 of A are injected",
    }[protocol.shortage]


def _test_set(protocol: Protocol) -> str:
    return "whole" if protocol.overlap else "without the injected images"


def datasets() -> str:
    """Return the table of datasets, with the published numbers of categories and training images."""
    rows = []
    for name, dataset in all_datasets().items():
        training = [count for count, *_ in dataset.expected.values()]
        counts = [f"{len(training)}", f"{sum(training):,}"] if training else ["", ""]
        module = inspect.getmodule(type(dataset))
        assert module is not None
        rows.append([f"`{name}`", subject(module), *counts])
    return markdown_table(["dataset", "content", "categories", "training images"], rows)


def benchmarks() -> str:
    """Return the table of benchmarks; their modules are read, not imported."""
    rows = []
    for file in sorted((ROOT / "tests" / "bench").glob("[a-z]*.py")):
        source = ast.parse(file.read_text(encoding="utf-8"))
        on_request = any("ON_REQUEST" in ast.unparse(node) for node in source.body)
        about = _first_line(ast.get_docstring(source))
        rows.append([f"`{file.stem}`", about, "only when named" if on_request else "yes"])
    return markdown_table(["benchmark", "measures", "part of `make bench`"], rows)


def subject(module: ModuleType) -> str:
    """Return the first line of a module's docstring, without the command at its end.

    >>> import sweeps.theorem
    >>> subject(sweeps.theorem).endswith("(MeDS, Fig. 3).")
    True
    """
    return _first_line(module.__doc__)


def _first_line(docstring: str | None) -> str:
    return inspect.cleandoc(docstring or "").partition("\n")[0].partition("   ")[0].strip()
