"""Studies that have a report, and the default profile of each report."""

from __future__ import annotations

import reports
from harness.config.discovery import module_named, module_names, plugins_of


def studies() -> list[str]:
    """Return the names of all studies that have a report, those of plug-ins last.

    Raises:
        InputError: a plug-in brings a name that another report has.
    """
    own = module_names("reports", reports)
    return list(dict.fromkeys([*own, *(plugin.name for plugin in plugins_of("studies"))]))


def own_profile(study: str) -> str:
    """Return the profile in the constant PROFILE of a study's report, else laptop."""
    try:
        module = module_named("reports", reports, study)
    except LookupError:
        return "laptop"
    return str(getattr(module, "PROFILE", "laptop"))
