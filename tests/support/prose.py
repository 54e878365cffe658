"""Rules of this project's English, checked on docstrings and help texts; `CONTRIBUTING.md` states the rules."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_WORDS = 25
"""Maximum number of words in a sentence."""
BANNED = re.compile(
    r"\b(told|tells?|says?|said|anew|so many|as far as|whoever|lies?|what is there|gone|in vain|meanwhile|wants"
    r"|of (?:its|their) own|by itself|made of|crew|hires?|seats|boards?|claims|walks?|knocks?|beats?)\b",
    re.IGNORECASE,
)
"""Words and phrases of the private dialect that the project had; all have a plain or technical equivalent."""
FRAGMENT = re.compile(
    r"(what|how|who|whose|whom|which|where|when|why|that|than|of|so|by|at|as|in|on|to|from|for|with|without|if|only"
    r"|it|its|their|they|these|those)$"
)
"""First word of a fragment, in which the noun that the text describes is missing."""
NO_VERB = re.compile(
    r"(the|a|an|whether|this|our|all|any|every|each|both|no|none|true|false|one|two|first|last|same|mean|number|size"
    r"|table|image|probability|percentile|context|optimizer|path|address|\w+(s|ing|ed))$"
)
"""First word of a text that does not start with an imperative verb; s, ing and ed end plural nouns and participles."""
IMPERATIVE = re.compile(
    r"(\w+ss|access|bypass|focus|bring|ring|string|embed|exceed|feed|need|proceed|seed|shed)$"
)
"""Imperative verb with such an ending."""
ABBREVIATIONS = re.compile(
    r"\b(e\.g|i\.e|et al|cf|vs|etc|approx|Figs?|Secs?|Eqs?|App|Tab|Alg|No|Nos|St)\."
)
CITATION = re.compile(
    r"\([^()]*(?:\b(?:19|20)\d\d\b|\bet al|\b(?:Fig|Sec|Eq|App|Alg)s?\.|\bTables? )[^()]*\)"
)
"""Parenthesis with a paper, figure, table, section or equation; it does not count as words of the sentence."""
CODE = re.compile(r"``.+?``|`[^`]+`", re.DOTALL)
SECTION = re.compile(r"(Args|Returns|Yields|Raises|Attributes|Example|Examples|Note):$")
ITEM = re.compile(r"^\s*([*-] |\d+\. )")
ENTRY = re.compile(r"\s+[*\w.]+(?:, [*\w.]+)*: ")
"""Start of an entry in a section, such as the name of an argument."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
Kind = Literal["module", "class", "function", "field", "help"]


@dataclass(frozen=True)
class Text:
    """A docstring or help text and its place in the source."""

    file: str
    line: int
    kind: Kind
    """Kind of the described object; properties count as fields, because a noun describes them."""
    text: str


@dataclass(frozen=True)
class Fault:
    """A sentence that breaks a rule."""

    file: str
    line: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.sentence}"


def faults_of(text: Text) -> Iterator[Fault]:
    """Yield every broken rule of a text."""
    for position, sentence in enumerate(sentences(text.text)):
        words = [word for word in sentence.split() if re.search(r"\w", word)]
        if len(words) > MAX_WORDS and not sentence.startswith("Legend:"):
            yield _fault(text, f"more than {MAX_WORDS} words ({len(words)})", sentence)
        for found in BANNED.finditer(CODE.sub("", sentence)):
            yield _fault(text, f"banned word {found[0]!r}", sentence)
        if position == 0 and (rule := _start_rule(text.kind, words)):
            yield _fault(text, rule, sentence)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text; code counts as one word, and doctests, tables and citations are left out."""
    for paragraph in _paragraphs(inspect.cleandoc(text)):
        plain = CITATION.sub("", CODE.sub(_as_one_word, paragraph))
        plain = ABBREVIATIONS.sub(lambda found: found[0].replace(".", ""), plain)
        yield from filter(None, map(str.strip, re.split(r"(?<=[.!?])[\"')]*\s+", plain)))


def _as_one_word(code: re.Match[str]) -> str:
    return "`" + re.sub(r"[^\w()]+", "_", code[0].strip("`")) + "`"


def _paragraphs(text: str) -> Iterator[str]:
    """Yield paragraphs, items of lists and entries of sections, each as one line."""
    lines: list[str] = []
    in_doctest = in_section = False
    for line in [*text.splitlines(), ""]:
        in_doctest = bool(line.strip()) and (in_doctest or line.lstrip().startswith(">>> "))
        heading = SECTION.match(line)
        in_section = bool(heading) or (in_section and (not line or line.startswith(" ")))
        entry = ENTRY.match(line) if in_section else None
        no_prose = heading or in_doctest or not line.strip() or line.startswith("|")
        if lines and (no_prose or entry or ITEM.match(line)):
            yield " ".join(lines)
            lines = []
        if not no_prose:
            lines.append(line[entry.end() :] if entry else ITEM.sub("", line, count=1).strip())


def _start_rule(kind: Kind, words: list[str]) -> str | None:
    first, second = ([word.strip("`,.:;").lower() for word in words] + ["", ""])[:2]
    if kind != "function":
        return "starts with a fragment, not with a noun" if FRAGMENT.match(first) else None
    no_verb = FRAGMENT.match(first) or (NO_VERB.match(first) and not IMPERATIVE.match(first))
    if no_verb or second == "of":
        return "does not start with an imperative verb"
    return None


def _fault(text: Text, rule: str, sentence: str) -> Fault:
    return Fault(text.file, text.line, rule, sentence)


def texts_of_module(file: Path, name: str) -> Iterator[Text]:
    """Yield the public docstrings of a Python file, and help texts given as an argument `help`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    yield from _of_body(tree, name, "module")
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help" and (text := _string(node.value)):
            yield Text(name, node.value.lineno, "help", text)


def _of_body(node: ast.Module | ast.ClassDef | Function, name: str, kind: Kind) -> Iterator[Text]:
    """Yield the docstring of a node, and those of the public classes, functions and fields in its body."""
    if text := ast.get_docstring(node, clean=False):
        yield Text(name, node.body[0].lineno, kind, text)
    for before, each in zip([None, *node.body], node.body, strict=False):
        if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(each, ast.Expr):
            if (text := _string(each.value)) and _is_public(_target(before)):
                yield Text(name, each.lineno, "field", text)
        elif isinstance(node, Function):
            continue  # functions inside functions are not public
        elif isinstance(each, ast.ClassDef) and _is_public(each.name):
            yield from _of_body(each, name, "class")
        elif isinstance(each, Function) and _is_public(each.name):
            yield from _of_body(each, name, "field" if _is_property(each) else "function")


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name.endswith("__")


def _is_property(node: Function) -> bool:
    return any(ast.unparse(each).endswith("property") for each in node.decorator_list)


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    return ast.unparse(target).removeprefix("self.").removeprefix("(")


def _string(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts_of_makefile(file: Path, name: str) -> Iterator[Text]:
    """Yield the help texts of a Makefile, which follow `##` behind a target."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if found := re.match(r"[^\s#].*:.*## (.*)", line):
            yield Text(name, number, "help", found[1])
