"""Which experiments belong to a study: lists of their keys beside its parent run, one of each command. Knows MLflow.

A list is never written again, so drivers on several machines lose nothing of each other's. A command that runs a part
of the study adds a list; one that runs the whole study names in its own the lists that it found, which are void then:
what an older version of the study had goes. Two kinds of results would be mixed in one mean, so a list counts for
results of its kind alone: on the same data, and of the same variant of the study.
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
"""Folder of the parent's artifacts with the lists."""
LEGACY_FILE = "keys.json"
"""Artifact of a parent run that an older version made: one list, of results that are not varied."""


@dataclass(frozen=True)
class StudyScope:
    """What of a study a command runs."""

    whole: bool = True
    """All of it, so that what the study had before and no longer has goes."""
    variant: str = ""
    """What makes every experiment another than the study's own, in words."""


def add(
    client: MlflowClient, parent: str, keys: Collection[str], data_digest: str, scope: StudyScope
) -> None:
    """List the keys of a command's experiments, unless the lists that are there say the same."""
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
    """Keys of the experiments that belong to a variant of the study on this data."""
    return _keys(_lists(client, parent, data_digest, variant))


def _keys(lists: dict[str, dict[str, Any]]) -> set[str]:
    void = {name for content in lists.values() for name in content["replaces"]}
    return {key for name in lists.keys() - void for key in lists[name]["keys"]}


def _lists(
    client: MlflowClient, parent: str, data_digest: str, variant: str
) -> dict[str, dict[str, Any]]:
    """The lists that count, void ones among them, by name."""
    names = [file.path for file in client.list_artifacts(parent, FOLDER)]
    lists = {name: json.loads(read_artifact(client, parent, name)) for name in names}
    kind = data_digest, variant
    found = {name: each for name, each in lists.items() if (each["data"], each["variant"]) == kind}
    if not variant and LEGACY_FILE in {file.path for file in client.list_artifacts(parent)}:
        keys = json.loads(read_artifact(client, parent, LEGACY_FILE))
        found[LEGACY_FILE] = {"keys": keys, "replaces": []}
    return found
