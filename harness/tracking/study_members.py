"""Membership of experiments in a study: key lists among the artifacts of its parent run, one list per command.

A list is never changed, so drivers on several machines cannot overwrite each other's lists. A command that runs a part
of the study adds a list. A command that runs the complete study records which earlier lists its own list replaces, so
experiments removed from the study disappear from its report. A list counts only for results on the same data and of
the same variant of the study. A mean over results of several variants would be meaningless.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.tracking.run_reader import read_artifact

if TYPE_CHECKING:
    from mlflow import MlflowClient

FOLDER = "keys"
"""Artifact folder of the parent run that contains the lists."""
LEGACY_FILE = "keys.json"
"""Artifact of a parent run of an older version: a single list, of the study without a variant."""


@dataclass(frozen=True)
class StudyScope:
    """Part and variant of a study that a command runs."""

    whole: bool = True
    """True if the command runs the complete study; experiments that were removed from the study then disappear."""
    variant: str = ""
    """Description of the changes that apply to every experiment of the study; empty for the study itself."""


def add(
    client: MlflowClient, parent: str, keys: Collection[str], data_digest: str, scope: StudyScope
) -> None:
    """Write a list with the keys of a command's experiments, unless the existing lists contain the same keys."""
    lists, wanted = _lists(client, parent, data_digest, scope.variant), set(keys)
    known = _keys(lists)
    if wanted == known or (wanted < known and not scope.whole):
        return
    content = {
        "data": data_digest,
        "variant": scope.variant,
        "keys": sorted(wanted),
        "replaces": sorted(lists) if scope.whole else [],
    }
    name = f"{FOLDER}/{secrets.token_hex(8)}.json"
    client.log_text(parent, json.dumps(content), name)


def listed(client: MlflowClient, parent: str, data_digest: str, variant: str) -> set[str]:
    """Return the keys of the experiments that belong to a variant of the study on this data."""
    return _keys(_lists(client, parent, data_digest, variant))


def _keys(lists: dict[str, dict[str, Any]]) -> set[str]:
    void = {name for content in lists.values() for name in content["replaces"]}
    return {key for name in lists.keys() - void for key in lists[name]["keys"]}


def _lists(
    client: MlflowClient, parent: str, data_digest: str, variant: str
) -> dict[str, dict[str, Any]]:
    """Return the lists of a variant on this data by name, including replaced lists."""
    names = [file.path for file in client.list_artifacts(parent, FOLDER)]
    lists = {name: json.loads(read_artifact(client, parent, name)) for name in names}
    kind = data_digest, variant
    found = {name: each for name, each in lists.items() if (each["data"], each["variant"]) == kind}
    if not variant and LEGACY_FILE in {file.path for file in client.list_artifacts(parent)}:
        keys = json.loads(read_artifact(client, parent, LEGACY_FILE))
        found[LEGACY_FILE] = {"keys": keys, "replaces": []}
    return found
