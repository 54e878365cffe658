"""Errors that a user may cause; commands print them as one paragraph, without a traceback."""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted disk quota."""
_USER = re.compile(r"(?<=://)\S*@")
"""User name and password of an address, up to the last @: a password may contain any character but white space."""
_SECRET = re.compile(
    r"(?<=[?&;])([\w.%-]*(?:pass|pwd|token|secret|key|sig|credential|odbc_connect)[\w.%-]*=)[^\s&;#]+",
    re.IGNORECASE,
)
"""Parameter of an address whose value is a secret."""


def hide_passwords(text: str) -> str:
    """Replace users, passwords and secret parameters of all addresses in a text by three stars.

    >>> hide_passwords("postgresql://me:secret@host/runs and https://host/x?token=secret&page=2 do not answer.")
    'postgresql://***@host/runs and https://host/x?token=***&page=2 do not answer.'
    """
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))


class InputError(ValueError):
    """An input of the user cannot be used; the message names the input, the allowed values and the next step.

    Passwords in addresses are hidden when the error is made, since its text is printed, stored and sent on.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(hide_passwords(message))


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
    """End the program with a one-paragraph message if an input, a file or a folder cannot be used.

    Any other error ends the program with its traceback, without passwords: errors of libraries may hold addresses.
    """
    try:
        with end_without_readers():
            yield
    except InputError as error:
        print(paragraph(f"Error: {error}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        text = explain_os_error(error) if isinstance(error, OSError) else None
        shown = paragraph(f"Error: {text}") if text else traceback.format_exc().rstrip()
        print(hide_passwords(printable(shown)), file=sys.stderr)
        raise SystemExit(1) from error


@contextmanager
def end_without_readers() -> Iterator[None]:
    """End the program in silence once no other program reads its output, as after `| head`.

    The exit code is that of a program that the signal SIGPIPE ends.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        if not _silence_unread_streams():
            raise
        raise SystemExit(128 + signal.SIGPIPE) from error


def _silence_unread_streams() -> bool:
    """Discard the output of streams that are not read any more; return whether there is one."""
    unread = [stream for stream in (sys.stdout, sys.stderr) if _unread(stream.fileno())]
    for stream in unread:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(unread)


def _unread(descriptor: int) -> bool:
    """Return whether a descriptor is the end of a pipe whose reader has ended."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def explain_os_error(error: OSError) -> str | None:
    """Return what a user can do about an error of the system; None if the error names neither a file nor a full disk.

    This is the last net: code that reads or writes a file knows more about it, and raises `InputError`.
    """
    if error.errno in DISK_FULL:
        return (
            f"{printable(error.filename or 'a file')} cannot be written ({error.strerror}). Free disk space, or "
            "choose other folders with --cache and --runs. Finished experiments are kept; the same command continues."
        )
    if error.filename is None:
        return None
    return (
        f"{printable(error.filename)} cannot be used ({error.strerror}). Check that the path is right, that the file "
        "or folder exists, and that this user may read and write there."
    )


def printable(text: object) -> str:
    """Return a text in which bytes that are not UTF-8, as in names of files, are written as escapes."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def paragraph(text: str) -> str:
    """Wrap a text at 100 columns without breaking paths; names that are not UTF-8 are written with escapes."""
    return textwrap.fill(printable(text), 100, break_long_words=False, break_on_hyphens=False)
