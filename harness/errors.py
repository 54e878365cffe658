"""Errors that a user may cause: told in one paragraph, without a traceback."""

from __future__ import annotations

import errno
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that has no more room, for anybody or for this user."""


class InputError(ValueError):
    """Something given by the user cannot be used: its text names the thing, what is allowed and the next step."""

    exit_code = 1


class NoResultError(InputError):
    """A study has no finished experiment where results were looked for."""

    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what} Run it: {command}.")
        self.command = command


class UsageError(InputError):
    """The command itself was mistyped."""

    exit_code = 2


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """End the program with one paragraph when what the user gave cannot be used, or the disk is full."""
    try:
        yield
    except InputError as error:
        print(paragraph(f"Error: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        text = (
            f"Error: {error.filename or 'a file'} cannot be written ({error.strerror}). Make room, or name other "
            "places with --cache and --runs. What is finished is kept; the same command goes on from here."
        )
        print(paragraph(text), file=sys.stderr)
        sys.exit(1)


def paragraph(text: str) -> str:
    """Wrap a text for a terminal without breaking paths."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
