"""Committed pages: generated parts are current, links and names exist, and the README stays short."""

import re
from urllib.parse import unquote

import matplotlib as mpl
import pytest

from docs.generator.__main__ import PAGES, WRITERS
from docs.generator.blocks import stale_pages
from docs.generator.packages import OURS, exists
from docs.generator.results import EXPORTS, figures
from harness.config.versions import ROOT
from tests.support.stored_study import stored

DOCUMENTS = [*PAGES, ROOT / "CONTRIBUTING.md"]
README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
LINK = re.compile(r"(?<!`)\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def named(page):
    return page.relative_to(ROOT).as_posix()


def prose(page):
    """Text of a page without its blocks of code."""
    return CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page):
    """Names of a page's headings in links, as repository hosts form them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("command", WRITERS)
def test_committed_pages_are_what_the_command_writes(command):
    stale = [named(page) for page in stale_pages(PAGES, command, WRITERS[command])]
    assert not stale, f"{', '.join(stale)} is not what `make {command}` writes: run it and commit."


@pytest.mark.parametrize("file", figures(), ids=lambda file: file.name)
def test_committed_figures_are_what_the_command_draws(file):
    committed = file.read_text(encoding="utf-8")
    if f"Matplotlib v{mpl.__version__}," not in committed:
        pytest.skip("another version of Matplotlib drew the committed figure")
    assert committed == figures()[file], (
        f"{file.name} is not what `make results` draws: run it and commit."
    )


def test_every_exported_study_is_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for folder in EXPORTS.iterdir():
        assert f"make results: begin {folder.name}" in shown


def test_exports_are_small_and_name_no_path_of_a_machine():
    files = [file for file in EXPORTS.rglob("*") if file.is_file() and file.name != "results.csv"]
    assert sum(file.stat().st_size for file in files) < 2e6
    for file in files:
        text = file.read_bytes().decode("utf-8", errors="ignore")
        assert not re.search(r"/(home|root|Users|tmp|work)/", text), named(file)


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_relative_links_lead_to_files_and_headings(page):
    for found in LINK.finditer(prose(page)):
        target, _, anchor = unquote(found["target"]).partition("#")
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{named(page)} links to {target}, which does not exist."
        assert not anchor or anchor in anchors(file), f"{named(page)}: {target} has no #{anchor}."


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_files_and_python_names_in_pages_exist(page):
    for text in re.findall(r"`([^`\n]+)`", prose(page)):
        if re.fullmatch(r"(harness|baselines|sweeps|reports|docs|tests)/[\w./-]*", text):
            assert (ROOT / text).exists(), f"{named(page)} names {text}, which does not exist."
        if re.fullmatch(rf"({'|'.join(OURS)})(\.\w+)+", text):
            assert exists(text), f"{named(page)} names {text}, which does not exist."


def test_every_page_is_listed_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index


def test_every_page_has_one_title():
    for page in PAGES:
        assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1, named(page)


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 120


def test_the_example_of_the_python_api_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(examples()[0], API.name, "exec"), {})
    assert "image_auroc" in capsys.readouterr().out


def test_the_example_of_the_tables_reads_a_study(small, tmp_path, monkeypatch):
    tracker, cells = stored(small, tmp_path, (0.1,))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    example, names = examples()[1], {}
    for text, here in (("rho", tracker.study), ("laptop", "small"), ("runs", str(tmp_path))):
        example = example.replace(f'"{text}"', repr(here))
    exec(compile(example, API.name, "exec"), names)
    assert set(names["tables"].scores["key"]) == {cell.key for cell in cells}


def examples():
    """The Python code of the page on the API, block by block."""
    return re.findall(r"^```python\n(.*?)^```", API.read_text(encoding="utf-8"), re.M | re.S)


def test_files_of_the_project_that_pages_name_exist():
    source = re.compile(r"`((?:harness|baselines|sweeps|reports|docs|tests)/[\w/.]+\.\w+)`")
    found = {name for page in DOCUMENTS for name in source.findall(prose(page))}
    assert len(found) > 30
    assert not [name for name in sorted(found) if not (ROOT / name).is_file()]
