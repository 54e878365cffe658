"""Progress of long work on stderr: a bar on a terminal, plain lines at a bounded rate in a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Protocol, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

INTERVAL = 30.0
"""Least number of seconds between two lines about the same work, besides its first and its last line."""


class Progress(Protocol):
    """Progress of one piece of work; a context manager that ends with the work."""

    def __enter__(self) -> Progress: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
    def update(self, n: int = 1) -> object:
        """Count further steps."""

    def set_description(self, desc: str, refresh: bool = True) -> None:
        """Replace the name of the work."""

    def set_postfix_str(self, s: str, refresh: bool = True) -> None:
        """Replace the text after the counts; `refresh` shows the text before the next step."""

    def close(self) -> None:
        """End the display."""


def show_progress(label: str, total: int, *, done: int = 0, unit: str = "it") -> Progress:
    """Start to show the progress of a piece of work.

    Args:
        label: Name of the work.
        total: Number of steps, 0 or more.
        done: Number of steps that are done already.
        unit: Name of a step, for the rate that a bar shows.
    """
    if _has_columns():
        bar: Progress = tqdm(total=total, desc=label, initial=done, unit=unit, leave=False)
        return bar
    return ProgressLines(label, total, done)


def _has_columns() -> bool:
    """Return whether stderr is a terminal of known width; without a width, tqdm would write empty lines."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except OSError:
        return False


def tracked(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield items unchanged, and show how many of `total` items the caller has finished."""
    with show_progress(label, total) as shown:
        for item in items:
            yield item
            shown.update()


def write_line(text: str) -> None:
    """Print a line on stdout at once, above all bars."""
    tqdm.write(text)
    sys.stdout.flush()  # otherwise a log file stays empty for minutes


def _write_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class ProgressLines:
    """Progress as plain lines: one when the work starts, one when it ends, and one per `INTERVAL` between them."""

    def __init__(
        self,
        label: str,
        total: int,
        done: int = 0,
        *,
        write: Callable[[str], None] = _write_to_stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write the first line.

        Args:
            label: Name of the work.
            total: Number of steps.
            done: Number of steps that are done already.
            write: Function that writes a line.
            clock: Function that returns the time in seconds.
        """
        self._label, self._total = label, total
        self._done = self._done_before = done
        self._write, self._clock = write, clock
        self._start = self._last = clock()
        self._text, self._open = "", True
        self._write(f"{label}: {done} of {total}")

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        """See `Progress.update`."""
        self._done += n
        self._refresh()

    def set_description(self, desc: str, refresh: bool = True) -> None:
        """See `Progress.set_description`."""
        self._label = desc
        if refresh:
            self._refresh()

    def set_postfix_str(self, s: str, refresh: bool = True) -> None:
        """See `Progress.set_postfix_str`."""
        self._text = s
        if refresh:
            self._refresh()

    def close(self) -> None:
        """Write the last line, once."""
        if self._open:
            self._open = False
            self._write(self._line(self._clock()))

    def _refresh(self) -> None:
        now = self._clock()
        if self._done < self._total and now - self._last >= INTERVAL:
            self._last = now
            self._write(self._line(now) + self._remaining(now) + (self._text and f", {self._text}"))

    def _line(self, now: float) -> str:
        return f"{self._label}: {self._done} of {self._total}, {duration(now - self._start)}"

    def _remaining(self, now: float) -> str:
        if not (steps := self._done - self._done_before):
            return ""
        return f", {duration((now - self._start) / steps * (self._total - self._done))} left"


def duration(seconds: float) -> str:
    """Return a duration as text, in seconds up to a minute and a half.

    >>> duration(89), duration(600)
    ('89 s', '10 min')
    """
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
