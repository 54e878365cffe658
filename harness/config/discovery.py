"""Discovery of components: files of our packages, and modules that installed packages name by entry points.

Adding a file to one of our packages is enough to add a component. A package outside this repository is a plug-in. Each
of its entry points in a group `meds_bench.KIND` names a module, which is read like a file of ours.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from harness.errors import InputError, UsageError

GROUP = "meds_bench."
"""Start of the names of our groups of entry points; the kind follows."""
OURS = ("harness", "baselines")
"""Packages that define components of ours."""
STUDY_FILE = ".py"
"""End of the path of a study's file, by which the path differs from the name of a study."""
KINDS = ("datasets", "encoders", "networks", "detectors", "protocols", "studies", "reports")
"""Kinds of components that a plug-in may bring."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class Plugin:
    """Module of an installed package, as an entry point names it."""

    kind: str
    """One of `KINDS`."""
    name: str
    """Name of the entry point; for studies and reports also the name in commands."""
    module: str
    """Dotted path of the module."""
    package: str
    """Name of the installed package, as in `pip uninstall`."""


def modules_of(package: ModuleType) -> list[str]:
    """Return the sorted names of a package's modules, without subpackages and names that start with an underscore.

    >>> import harness.networks
    >>> "dinomaly" in modules_of(harness.networks)
    True
    """
    found = pkgutil.iter_modules(package.__path__)
    return sorted(each.name for each in found if not each.ispkg and not each.name.startswith("_"))


@functools.cache
def plugins() -> tuple[Plugin, ...]:
    """Return all modules that installed packages name in our groups of entry points; no module is imported.

    Raises:
        InputError: an entry point is in a group that does not exist.
    """
    points, found = metadata.entry_points(), []
    for group in sorted(points.groups):
        if group.startswith(GROUP):
            found += [_plugin(point) for point in points.select(group=group)]
    return tuple(sorted(found, key=lambda each: (each.kind, each.package, each.name)))


def _plugin(point: metadata.EntryPoint) -> Plugin:
    package = point.dist.name if point.dist else point.module
    kind = point.group.removeprefix(GROUP)
    if kind not in KINDS:
        raise InputError(
            f"The plug-in package {package} has an entry point {point.name!r} in the group {point.group}, which does "
            f"not exist. Groups: {', '.join(GROUP + each for each in KINDS)}. Correct the pyproject.toml of the "
            f"package and install it again, or remove it: pip uninstall {package}."
        )
    return Plugin(kind, point.name, point.module, package)


def plugins_of(kind: str) -> list[Plugin]:
    """Return the modules of one kind that plug-ins bring."""
    return [plugin for plugin in plugins() if plugin.kind == kind]


def load(plugin: Plugin) -> ModuleType:
    """Import the module of a plug-in.

    Raises:
        InputError: the module cannot be imported; the message names the package.
    """
    with _explained(plugin):
        return importlib.import_module(plugin.module)


def with_plugins(
    kind: str, own: Mapping[str, Part], parts: Callable[[ModuleType], Mapping[str, Part]]
) -> dict[str, Part]:
    """Return our components of a kind and those of all plug-ins, by name.

    Args:
        kind: One of `KINDS`.
        own: Our components by name.
        parts: Function that returns the components of a module by name.

    Raises:
        InputError: a plug-in cannot be used, or brings a name that another component has.
    """
    found = dict(own)
    for plugin in plugins_of(kind):
        module = load(plugin)
        with _explained(plugin):
            new = parts(module)
        _check_names(plugin, new, found)
        found |= new
    return found


def module_names(kind: str, package: ModuleType) -> list[str]:
    """Return the names of all modules of a kind: those of one of our packages, then those of plug-ins.

    Raises:
        InputError: a plug-in brings a name that another module has.
    """
    found = modules_of(package)
    for plugin in plugins_of(kind):
        _check_names(plugin, [plugin.name], found)
        found.append(plugin.name)
    return found


def module_named(kind: str, package: ModuleType, name: str) -> ModuleType:
    """Return a module of one of our packages, or of a plug-in.

    Raises:
        InputError: the module of a plug-in cannot be imported.
        LookupError: there is no such module.
    """
    if name in modules_of(package):
        return importlib.import_module(f"{package.__name__}.{name}")
    for plugin in plugins_of(kind):
        if plugin.name == name:
            return load(plugin)
    raise LookupError(name)


def study_name(study: str) -> str:
    """Return the name under which results of a study are stored: its name, or that of its file.

    >>> study_name("rho"), study_name("studies/my_study.py")
    ('rho', 'my_study')
    """
    return Path(study).stem if study.endswith(STUDY_FILE) else study


def module_in(file: Path) -> ModuleType:
    """Import a Python file under the name of the file, so that a study needs no package.

    Raises:
        UsageError: there is no such file, or its name is that of another module.
        InputError: the file cannot be imported.
    """
    name, path = file.stem, file.absolute()
    if not path.is_file():
        raise UsageError(f"There is no file {file}. Give the path of a Python file.")
    known = sys.modules.get(name)
    if known is not None and Path(getattr(known, "__file__", None) or "") == path:
        return known
    if not name.isidentifier() or known is not None or _is_taken(name, path):
        raise UsageError(
            f"The file {file} cannot be imported, because {name!r} is the name of another module or is no Python name. "
            "Rename the file, for example to my_study.py."
        )
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look modules up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The file {file} cannot be imported: {_described(error)}. Correct the file."
        ) from error
    return module


def _is_taken(name: str, path: Path) -> bool:
    """Return whether a name belongs to an importable module other than the file at a path."""
    spec = importlib.util.find_spec(name)
    return spec is not None and Path(spec.origin or "") != path


@contextmanager
def _explained(plugin: Plugin) -> Iterator[None]:
    """Raise one paragraph that names the package if the block fails."""
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) and str(error).startswith("The plug-in package"):
            raise
        raise InputError(
            f"The plug-in package {plugin.package} cannot be used: its module {plugin.module}, which its entry point "
            f"{plugin.name!r} in {GROUP}{plugin.kind} names, fails with {_described(error)}. Correct the package, or "
            f"remove it: pip uninstall {plugin.package}."
        ) from error


def _described(error: Exception) -> str:
    """Return class, message and place of an error."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"


def _check_names(plugin: Plugin, new: Iterable[str], known: Container[str]) -> None:
    """Raise an error if a plug-in brings a name that is taken.

    Raises:
        InputError: a name is taken; the message names the package.
    """
    if taken := [name for name in new if name in known]:
        raise InputError(
            f"The plug-in package {plugin.package} brings {taken[0]!r} in {GROUP}{plugin.kind}, but this name is taken "
            f"already. Rename it in the package, or remove the package: pip uninstall {plugin.package}."
        )
