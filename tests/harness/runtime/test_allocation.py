"""Freed memory that a process keeps: fewer pages from the system, and a user's own settings come first."""

import platform
import subprocess
import sys

import pytest

from harness.runtime.allocation import OWN_SETTINGS

SCRIPT = """
import ctypes, resource
from harness.runtime.allocation import keep_freed_memory
print(keep_freed_memory())
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def use():
    blocks = [libc.malloc(ctypes.c_size_t(8 * 2**20)) for _ in range(4)]
    for block in blocks:
        ctypes.memset(block, 1, 8 * 2**20)
    for block in blocks:
        libc.free(block)

use(), use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GNU = platform.libc_ver()[0] == "glibc"


def run(**variables):
    python = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(python, env=variables, capture_output=True, text=True, check=True)
    accepted, faults = found.stdout.split()
    return accepted == "True", int(faults)


@pytest.mark.skipif(not GNU, reason="mallopt belongs to the GNU C library")
def test_memory_that_was_freed_is_used_again_without_new_pages():
    accepted, faults = run(PYTHONPATH=".")
    assert accepted
    assert faults < 100  # 8192 pages are written


@pytest.mark.parametrize("name", OWN_SETTINGS[:2])
def test_settings_of_the_user_come_first(name):
    accepted, _ = run(PYTHONPATH=".", **{name: "131072"})
    assert not accepted
