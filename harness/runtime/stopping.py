"""Signals that stop a command: a stopped container, a cancelled job or a closed terminal end it as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that have the effect of Ctrl-C: of `docker stop`, `scancel` and `kill`, and of a closed terminal."""


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C has stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


_received: list[int] = []
"""Number of the signal that has stopped the command; empty without one."""


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a stopped command: 128 plus the number of the signal, as shells count.

    If a signal arrives while Ray waits, Ray raises a plain KeyboardInterrupt instead of `Stopped`.

    >>> exit_code(KeyboardInterrupt()), exit_code(Stopped(signal.SIGTERM))
    (130, 143)
    """
    return 128 + getattr(stop, "number", _received[0] if _received else signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `Stopped` in this process if one of the signals `STOPPING` arrives; end a stopped command in one sentence.

    A signal that is ignored stays ignored, as SIGHUP under `nohup`. Further signals do not disturb the cleaning up that
    follows the first.
    """
    _received.clear()
    with _restored():
        _set({number: _raise for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN})
        try:
            yield
        except KeyboardInterrupt as stop:
            print("\nStopped.", file=sys.stderr)
            sys.exit(exit_code(stop))


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restore the handlers of `STOPPING` on exit, for libraries that set their own when they start.

    Raises:
        Stopped: a handler of the library has ended the process by its signal.
    """
    with _restored():
        try:
            yield
        except SystemExit as error:
            if error.code == signal.SIGTERM:
                raise Stopped(signal.SIGTERM) from error
            raise


@contextmanager
def _restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    try:
        yield
    finally:
        _set(before)


def _raise(number: int, frame: FrameType | None) -> None:
    _set(dict.fromkeys(STOPPING, signal.SIG_IGN))
    _received[:] = [number]
    raise Stopped(number)


def _set(handlers: Mapping[Any, Any]) -> None:
    """Set handlers by signal; Python allows this in the main thread only."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            signal.signal(number, handler)
