"""Errors that a user may cause: told in one paragraph, without a traceback."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something given by the user cannot be used: its text names the thing, what is allowed and the next step."""

    exit_code = 1


class NoResultError(InputError):
    """A study has no finished experiment where results were looked for."""


class UsageError(InputError):
    """The command itself was mistyped."""

    exit_code = 2


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """End the program with one paragraph on standard error when what the user gave cannot be used."""
    try:
        yield
    except InputError as error:
        print(paragraph(f"Error: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)


def paragraph(text: str) -> str:
    """Wrap a text for a terminal without breaking paths."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
