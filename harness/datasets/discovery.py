"""Datasets by name; every dataset class in a module of this package or of a plug-in is found without registration."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, cast

import harness.datasets
from harness.config.discovery import modules_of, with_plugins
from harness.datasets import Dataset
from harness.errors import InputError, UsageError


@functools.cache
def datasets() -> dict[str, Dataset]:
    """Return all datasets with their default settings, by name.

    Raises:
        InputError: a plug-in cannot be used.

    >>> "visa" in datasets()
    True
    """
    package = harness.datasets
    modules = [importlib.import_module(f"{package.__name__}.{m}") for m in modules_of(package)]
    own = {each.name: each for module in modules for each in datasets_in(module)}
    return with_plugins(
        "datasets", own, lambda module: {each.name: each for each in datasets_in(module)}
    )


def dataset_named(name: str | None) -> Dataset:
    """Return the dataset with this name.

    Raises:
        UsageError: no dataset has this name.
    """
    known = datasets()
    if name not in known:
        raise UsageError(f"There is no dataset {name!r}. Datasets: {', '.join(known)}.")
    return known[name]


def select_categories(dataset: Dataset, categories: tuple[str, ...] | None) -> Dataset:
    """Return the dataset with these categories only; None for all categories.

    Raises:
        InputError: the categories of the dataset cannot be selected.
    """
    if categories is None:
        return dataset
    settings: Any = dataset
    if "categories" not in {field.name for field in dataclasses.fields(settings)}:
        raise InputError(
            f"The categories of {dataset.name} cannot be selected. Leave out --category."
        )
    return cast(Dataset, dataclasses.replace(settings, categories=categories))


def datasets_in(module: ModuleType) -> Iterator[Any]:
    """Yield the datasets that a module defines, with their default settings."""
    for value in vars(module).values():
        defined_here = isinstance(value, type) and value.__module__ == module.__name__
        if defined_here and dataclasses.is_dataclass(value) and hasattr(value, "samples"):
            yield cast(Any, value)()
