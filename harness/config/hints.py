"""Commands in messages as a user types them: with `make` in a checkout, with `meds-bench` after `pip install`."""

from __future__ import annotations

from harness.config.discovery import STUDY_FILE
from harness.config.versions import ROOT


def study_command(
    study: str, profile: str | None = None, *, data: str | None = None, options: str = ""
) -> str:
    """Return the command that runs a study.

    Args:
        study: Name of the study, or the path of its file.
        profile: Name of the profile; None for the study's own.
        data: Folder of the dataset, if it is needed.
        options: Further options.
    """
    if _has_makefile() and not study.endswith(STUDY_FILE):
        words = [f"make sweep-{study}"]
        words += [f"PROFILE={profile}"] if profile else []
        words += [f"DATA={data}"] if data else []
        words += [f'ARGS="{options}"'] if options else []
        return " ".join(words)
    words = [".venv/bin/python -m sweeps" if _has_makefile() else "meds-bench run", study]
    words += [f"--profile {profile}"] if profile else []
    words += [f"--data {data}"] if data else []
    return " ".join([*words, *filter(None, [options])])


def harness_command(words: str) -> str:
    """Return the command for a verb of `python -m harness` with its options."""
    return f"{'.venv/bin/python -m harness' if _has_makefile() else 'meds-bench'} {words}"


def _has_makefile() -> bool:
    return (ROOT / "Makefile").is_file()
