"""What a result was computed with: the revision of the source, and what differs from it."""

import re
import subprocess
from importlib import metadata

import pytest

from harness.config import versions
from harness.config.versions import git_revision


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A source tree of one commit; a way to run git in it."""
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    (tmp_path / "harness").mkdir()
    (tmp_path / "baselines").mkdir()
    (tmp_path / "harness" / "noise.py").write_text("RATIO = 0\n")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    canonical_repr = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (
        ["init", "-q"],
        ["add", "."],
        [*canonical_repr, "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_a_revision_tells_apart_what_differs_from_it(checkout):
    changed, new = checkout / "harness" / "noise.py", checkout / "baselines" / "näiv.py"
    clean = git_revision()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    seen = [clean]
    for file, text in ((changed, "RATIO = 1\n"), (changed, "RATIO = 2\n"), (new, ""), (new, "a")):
        file.write_text(text)
        seen.append(git_revision())
        assert git_revision() == seen[-1]
    subprocess.run(["git", "add", "."], cwd=checkout, check=True)
    assert git_revision() == seen[-1]  # the same files
    changed.unlink()
    seen.append(git_revision())
    assert len(set(seen)) == len(seen)
    assert all(re.fullmatch(rf"{clean}-dirty\.[0-9a-f]{{12}}", found) for found in seen[1:])


def test_what_git_ignores_and_data_beside_the_source_do_not_count(checkout):
    clean = git_revision()
    (checkout / "harness" / "__pycache__").mkdir()
    (checkout / "harness" / "__pycache__" / "noise.pyc").write_text("")
    (checkout / "photographs").mkdir()
    (checkout / "photographs" / "a.png").write_text("")
    assert git_revision() == clean


def test_outside_a_checkout_the_revision_is_the_version_of_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "ROOT", tmp_path)
    assert git_revision() == f"v{metadata.version('meds-bench')}"


def test_the_revision_of_another_project_around_the_package_does_not_count(checkout, monkeypatch):
    installed = checkout / "environment"
    (installed / "harness").mkdir(parents=True)
    (installed / "harness" / "noise.py").write_text("")
    monkeypatch.setattr(versions, "ROOT", installed)
    assert git_revision() == f"v{metadata.version('meds-bench')}"
