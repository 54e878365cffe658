"""Discovery of components: one is added by a file in its package, and by nothing else."""

from __future__ import annotations

import pkgutil
from types import ModuleType


def modules_of(package: ModuleType) -> list[str]:
    """List the names of the modules in a package, sorted; packages inside it and `__main__` are left out.

    >>> import harness.networks
    >>> "dinomaly" in modules_of(harness.networks)
    True
    """
    found = pkgutil.iter_modules(package.__path__)
    return sorted(each.name for each in found if not each.ispkg and not each.name.startswith("_"))
