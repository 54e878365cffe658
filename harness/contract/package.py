"""Contract of an installed package: all components that its entry points name, each with the checks of its kind."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.config.discovery import GROUP, Plugin, load, plugins
from harness.contract.dataset import breaches_of_dataset
from harness.contract.detector import breaches_of_detector
from harness.contract.network import breaches_of_network
from harness.contract.study import breaches_of_protocol, breaches_of_report, breaches_of_study
from harness.contract.values import breaches_of_value
from harness.contract.worlds import Worlds, draw_worlds
from harness.datasets.discovery import datasets_in
from harness.errors import UsageError
from harness.features.encoder import Encoder
from harness.inference.methods import detectors_in

SMALL = "CONTRACT"
"""Constant of a module with the components to check instead of those with default settings, which may take hours."""
EXAMPLE = "example"
"""Function of a dataset's module that writes a small folder in its layout into an empty folder."""


@dataclass(frozen=True)
class Checked:
    """Component that was checked."""

    name: str
    """Kind and name of the component."""
    breaches: tuple[str, ...]
    """Sentences on what it breaks; empty if it keeps its contract."""
    note: str = ""
    """Sentence on what was not checked."""


def check_package(name: str, data: Path | None, folder: Path) -> Iterator[Checked]:
    """Check all components of a package, one after the other.

    Args:
        name: Name of the installed package, or of the Python package that it contains.
        data: Folder in the layout of the package's dataset; None for the example of its module.
        folder: Empty folder for drawn images.

    Raises:
        UsageError: no such package brings a component.
        InputError: a module of the package cannot be imported.
    """
    found = [plugin for plugin in plugins() if name in _names_of(plugin)]
    if not found:
        known = sorted({plugin.package for plugin in plugins()})
        raise UsageError(
            f"No installed package {name!r} brings a component of this software. Packages that do: "
            f"{', '.join(known) or 'none'}. A package names its modules as entry points in groups such as "
            f"{GROUP}detectors; install it again after a change of its pyproject.toml."
        )
    checks = _Checks(data, folder)
    for plugin in found:
        yield from checks.of_kind[plugin.kind](plugin, load(plugin))


def _names_of(plugin: Plugin) -> set[str]:
    package = plugin.package.lower()
    return {package, package.replace("-", "_"), plugin.package, plugin.module.partition(".")[0]}


class _Checks:
    """Checks by kind, which share the drawn images."""

    def __init__(self, data: Path | None, folder: Path) -> None:
        self.data, self.folder = data, folder
        self.worlds: Worlds | None = None
        self.of_kind: dict[str, Callable[[Plugin, ModuleType], Iterator[Checked]]] = {
            "datasets": self._datasets,
            "encoders": self._encoders,
            "networks": self._networks,
            "detectors": self._detectors,
            "protocols": self._protocols,
            "studies": self._study,
            "reports": self._report,
        }

    def _datasets(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        root, note = self.data, ""
        if root is None and hasattr(module, EXAMPLE):
            root = self.folder / f"example of {plugin.name}"
            root.mkdir()
            getattr(module, EXAMPLE)(root)
        elif root is None:
            note = (
                f"Its table was not checked: give a folder with --data, or define {EXAMPLE}(root)."
            )
        for dataset in _small(module) or [*datasets_in(module)] or [None]:
            yield Checked(
                _named("dataset", dataset, plugin),
                _all(dataset, lambda each: breaches_of_dataset(each, root, self.folder)),
                note,
            )

    def _encoders(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        own = [value for value in vars(module).values() if isinstance(value, Encoder)]
        for encoder in own:
            yield Checked(f"encoder {encoder.name}", tuple(breaches_of_value(encoder)))
        if not own:
            yield Checked(f"encoders of {plugin.module}", (), "Its module can be imported.")

    def _networks(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        for settings in _small(module) or _settings_in(module) or [None]:
            name = f"network {type(settings).__name__ if settings else plugin.name}"
            yield Checked(name, _all(settings, breaches_of_network))

    def _detectors(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        worlds = self.worlds = self.worlds or draw_worlds(self.folder)
        for detector in _small(module) or detectors_in(module) or [None]:
            name = _named("detector", detector, plugin)
            yield Checked(name, _all(detector, lambda each: breaches_of_detector(each, worlds)))

    def _protocols(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        for name, protocol in module.PROTOCOLS.items():
            yield Checked(f"protocol {name}", tuple(breaches_of_protocol(name, protocol)))

    def _study(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        # By name, because the studies are above this package.
        profile = importlib.import_module("sweeps.profiles").PROFILES["smoke"]
        yield Checked(f"study {plugin.name}", tuple(breaches_of_study(module, profile)))

    def _report(self, plugin: Plugin, module: ModuleType) -> Iterator[Checked]:
        yield Checked(f"report {plugin.name}", tuple(breaches_of_report(module)))


def _small(module: ModuleType) -> list[Any]:
    return list(getattr(module, SMALL, ()))


def _settings_in(module: ModuleType) -> list[Any]:
    """Return the settings of networks that a module defines, with default values."""
    found = [value for value in vars(module).values() if isinstance(value, type)]
    own = [kind for kind in found if kind.__module__ == module.__name__ and hasattr(kind, "build")]
    return [kind() for kind in own if dataclasses.is_dataclass(kind)]


def _named(kind: str, component: Any, plugin: Plugin) -> str:
    return f"{kind} {getattr(component, 'name', plugin.name)}"


def _all(component: Any, check: Callable[[Any], Iterator[str]]) -> tuple[str, ...]:
    if component is None:
        return (
            f"Its module defines no such component without required settings. List some in {SMALL}.",
        )
    return tuple(check(component))
