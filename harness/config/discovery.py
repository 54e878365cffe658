"""Discovery of components; adding a file to a package is enough to add a component."""

from __future__ import annotations

import pkgutil
from types import ModuleType


def modules_of(package: ModuleType) -> list[str]:
    """Return the sorted names of a package's modules, without subpackages and names that start with an underscore.

    >>> import harness.networks
    >>> "dinomaly" in modules_of(harness.networks)
    True
    """
    found = pkgutil.iter_modules(package.__path__)
    return sorted(each.name for each in found if not each.ispkg and not each.name.startswith("_"))
