"""Docstrings and help texts keep the rules of `tests.support.prose`, and the check finds planted faults."""

import ast
from functools import cache

import pytest

from tests.support.commands import ROOT
from tests.support.prose import (
    MAX_WORDS,
    Text,
    faults_of,
    sentences,
    texts_of_makefile,
    texts_of_module,
)

PACKAGES = ("harness", "baselines", "sweeps", "reports", "meds_bench", "docs")
PENDING: tuple[str, ...] = ()
"""Files that are being rewritten; the check leaves them out for now."""
OPTIONS = (
    *(file.relative_to(ROOT).as_posix() for file in sorted((ROOT / "harness/cli").glob("*.py"))),
    "harness/cluster/options.py",
    "harness/cluster/resources.py",
    "reports/launch/changes.py",
    "reports/launch/compare.py",
    "reports/launch/options.py",
    "reports/launch/site.py",
    "sweeps/launch/options.py",
    "sweeps/launch/study_filter.py",
)
"""Files that define options of commands."""

LONG = "Return " + "a " * (MAX_WORDS - 2) + "number"


@cache
def texts():
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    named = {file.relative_to(ROOT).as_posix(): file for file in files}
    found = [text for name, file in named.items() for text in texts_of_module(file, name)]
    return [*found, *texts_of_makefile(ROOT / "Makefile", "Makefile")]


def rules_broken(text, kind):
    return [fault.rule for fault in faults_of(Text("file.py", 1, kind, text))]


def test_all_public_docstrings_and_help_texts_are_plain_english():
    faults = [
        str(fault) for text in texts() if text.file not in PENDING for fault in faults_of(text)
    ]
    assert not faults, "\n" + "\n".join(faults)


def test_the_check_reads_docstrings_of_every_kind_in_every_package():
    seen = {(text.file.split("/")[0], text.kind) for text in texts()}
    kinds = ("module", "class", "function", "field")
    assert seen >= {
        (package, kind) for package in PACKAGES if package != "meds_bench" for kind in kinds
    }
    assert {package for package, _ in seen} >= set(PACKAGES)
    assert ("Makefile", "help") in seen


def test_every_option_of_a_command_has_a_docstring_as_its_help_text():
    """Without a docstring, tyro would take the help text from a comment, which no check reads."""
    described = {(text.file, text.line) for text in texts() if text.kind == "field"}
    missing = []
    for name in OPTIONS:
        classes = [
            n for n in ast.parse((ROOT / name).read_text()).body if isinstance(n, ast.ClassDef)
        ]
        fields = [n for kind in classes for n in kind.body if isinstance(n, ast.AnnAssign)]
        own = [field for field in fields if "tyro.conf.arg" not in ast.unparse(field.annotation)]
        missing += [f"{name}:{n.lineno}" for n in own if (name, n.end_lineno + 1) not in described]
    assert missing == []


@pytest.mark.parametrize("kind", ["module", "class", "function", "field", "help"])
@pytest.mark.parametrize(
    "phrase",
    ["told", "anew", "so many", "as far as", "whoever", "lies", "lie", "wants", "of its own"],
)
def test_a_banned_phrase_is_found_in_every_kind_of_text(kind, phrase):
    start = "Return scores" if kind == "function" else "Scores"
    assert rules_broken(f"{start}.\n\nA detector {phrase} here.", kind) == [
        f"banned word {phrase!r}"
    ]
    assert rules_broken(f"{start}; `{phrase}` is code.", kind) == []


@pytest.mark.parametrize(
    "start",
    [
        "The number",
        "A number",
        "An image",
        "What is scored",
        "Whether it fits",
        "Who scores",
        "How to score",
        "Of a detector",
        "That is scored",
        "Scores of an image",
        "Returns scores",
        "Returning scores",
        "Finished runs",
        "Digest of a value",
        "Mean score",
    ],
)
def test_a_function_that_does_not_start_with_an_imperative_is_found(start):
    assert rules_broken(f"{start}.", "function") == ["does not start with an imperative verb"]


@pytest.mark.parametrize(
    "start", ["Return scores", "Compress scores", "Embed images", "See `fit`", "Yield, once, runs"]
)
def test_a_function_may_start_with_any_imperative(start):
    assert rules_broken(f"{start}.", "function") == []


@pytest.mark.parametrize(
    "start",
    [
        "What it runs on",
        "How",
        "Only these",
        "For two",
        "Of its content",
        "So",
        "By name",
        "At most 3",
        "As before",
    ],
)
def test_a_field_that_starts_with_a_fragment_is_found(start):
    assert rules_broken(f"{start}.", "field") == ["starts with a fragment, not with a noun"]


@pytest.mark.parametrize(
    "start", ["Number of steps", "The steps", "True if trained", "Whether to copy", "Steps"]
)
def test_a_field_may_start_with_a_noun(start):
    assert rules_broken(f"{start}.", "field") == []


@pytest.mark.parametrize(
    "context",
    [
        "{}.",
        "Return scores. {}.",
        "Return scores.\n\n{}.",
        "Return scores.\n\nArgs:\n    name: {}.\n    other: Number.",
        "Return scores.\n\nRaises:\n    InputError: {}.",
        "Return scores.\n\n* {}.\n* Number.",
        "Return scores (Fig. 2 shows them). {} (Roth et al., CVPR 2022).",
    ],
)
def test_a_sentence_with_one_word_too_many_is_found_anywhere(context):
    assert rules_broken(context.format(LONG), "function") == []
    (rule,) = rules_broken(context.format(LONG.replace("number", "large number")), "function")
    assert rule == f"more than {MAX_WORDS} words ({MAX_WORDS + 1})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Scores, e.g. of Fig. 2, at .95. Lower is better.",
            ["Scores, eg of Fig 2, at .95.", "Lower is better."],
        ),
        ("Scores `a. b (c)` of\nimages.", ["Scores `a_b_(c)` of images."]),
        ("Scores (Roth et al., CVPR 2022, Eq. 5).", ["Scores ."]),
        ("Scores.\n\n>>> told()\n'anew'\n\nImages.", ["Scores.", "Images."]),
        ("Scores.\n\n| told | anew |\n|---|---|", ["Scores."]),
        (
            "Scores.\n\nArgs:\n    seats, *walk: Images.\n        Two lines.",
            ["Scores.", "Images.", "Two lines."],
        ),
        ("Study.   make sweep-rho", ["Study.", "make sweep-rho"]),
        ("", []),
    ],
)
def test_sentences_leave_out_what_is_not_prose(text, expected):
    assert list(sentences(text)) == expected


SOURCE = '''"""A module told."""
COUNT = 1
"""So many."""
_HIDDEN = 1
"""So many."""


class Scorer:
    """A scorer told."""

    steps: int = 1
    """Of training."""

    @property
    def size(self):
        """What counts."""

    def score(self):
        """The score."""

        def inner():
            """The inner function."""

    def _hidden(self):
        """The hidden method."""


class _Hidden:
    """A class told."""


option = arg(help="A folder that lies here.")
'''


def test_a_fault_is_named_by_file_line_rule_and_sentence(tmp_path):
    (tmp_path / "scorer.py").write_text(SOURCE)
    found = texts_of_module(tmp_path / "scorer.py", "pack/scorer.py")
    assert [str(fault) for text in found for fault in faults_of(text)] == [
        "pack/scorer.py:1: banned word 'told': A module told.",
        "pack/scorer.py:3: banned word 'So many': So many.",
        "pack/scorer.py:3: starts with a fragment, not with a noun: So many.",
        "pack/scorer.py:9: banned word 'told': A scorer told.",
        "pack/scorer.py:12: starts with a fragment, not with a noun: Of training.",
        "pack/scorer.py:16: starts with a fragment, not with a noun: What counts.",
        "pack/scorer.py:19: does not start with an imperative verb: The score.",
        "pack/scorer.py:32: banned word 'lies': A folder that lies here.",
    ]


def test_the_help_texts_of_a_makefile_are_read(tmp_path):
    (tmp_path / "Makefile").write_text(
        "test: install  ## run so many tests\n# test: ## told\ninstall:\n\ttrue\n"
    )
    (text,) = texts_of_makefile(tmp_path / "Makefile", "Makefile")
    assert text == Text("Makefile", 1, "help", "run so many tests")
