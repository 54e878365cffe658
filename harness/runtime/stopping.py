"""Signals that stop a command: a stopped container, a cancelled job or a closed terminal end it as Ctrl-C does."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = ("SIGTERM", "SIGHUP")
"""Signals that have the effect of Ctrl-C: of `docker stop`, `scancel` and `kill`, and of a closed terminal."""


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C has stopped the command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return the exit code of a stopped command: 128 plus the number of the signal, as shells count.

    >>> exit_code(KeyboardInterrupt()), exit_code(Stopped(signal.SIGTERM))
    (130, 143)
    """
    return 128 + getattr(stop, "number", signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `Stopped` in this process if one of the signals `STOPPING` arrives; end a stopped command in one sentence.

    A signal that is ignored stays ignored, as SIGHUP under `nohup`. Further signals do not disturb the cleaning up that
    follows the first.
    """
    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if before[number] != signal.SIG_IGN:
                signal.signal(number, _raise)
    try:
        yield
    except KeyboardInterrupt as stop:
        print("\nStopped.", file=sys.stderr)
        sys.exit(exit_code(stop))
    finally:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                signal.signal(number, before[number])


def _raise(number: int, frame: FrameType | None) -> None:
    for name in STOPPING:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise Stopped(number)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restore the handlers of `STOPPING` on exit, for libraries that set their own when they start.

    Raises:
        Stopped: a handler of the library has ended the process by its signal.
    """
    before = {name: signal.getsignal(getattr(signal, name)) for name in STOPPING}
    try:
        yield
    except SystemExit as error:
        if error.code == signal.SIGTERM:
            raise Stopped(signal.SIGTERM) from error
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)
