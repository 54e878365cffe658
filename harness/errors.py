"""Errors that a user may cause; commands print them as one paragraph, without a traceback."""

from __future__ import annotations

import errno
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted disk quota."""


class InputError(ValueError):
    """An input of the user cannot be used; the message names the input, the allowed values and the next step."""

    exit_code = 1


class NoResultError(InputError):
    """A tracking store holds no finished experiment of a study."""

    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what} Run it: {command}.")
        self.command = command


class UsageError(InputError):
    """The command line names an unknown option, study or value."""

    exit_code = 2


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """End the program with a one-paragraph message if an input cannot be used or the disk is full."""
    try:
        yield
    except InputError as error:
        print(paragraph(f"Error: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        text = (
            f"Error: {error.filename or 'a file'} cannot be written ({error.strerror}). Free disk space, or choose "
            "other folders with --cache and --runs. Finished experiments are kept; the same command continues."
        )
        print(paragraph(text), file=sys.stderr)
        sys.exit(1)


def paragraph(text: str) -> str:
    """Wrap a text at 100 columns without breaking paths."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
