"""Memory that a process keeps after it was freed, so that the next image or step needs no new pages.

A forward pass frees and takes the same megabytes again and again. The C library of Linux returns them to the system
each time, and the system clears every page that it hands out again. That takes a third of the time of a small encoder.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys

MMAP_THRESHOLD = -3
TRIM_THRESHOLD = -1
"""Numbers of these two settings in the C library's `mallopt`."""
LARGEST_KEPT = 32 * 2**20
"""Size in bytes from which freed blocks always go back to the system; the C library accepts no larger value."""
KEPT = 128 * 2**20
"""Maximum number of freed bytes that a process keeps at the end of its heap."""
OWN_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables with which a user sets the same limits; they have priority."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep up to `KEPT` bytes of freed memory; return whether the C library accepted this.

    No result depends on this. Other systems than Linux with the GNU C library stay as they are.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in OWN_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(MMAP_THRESHOLD, LARGEST_KEPT) and mallopt(TRIM_THRESHOLD, KEPT))
