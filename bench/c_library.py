"""The C library's functions that change memory, on the target of a `Scratch`.

Hooks in a process patch these functions, so what is done by hand (`live.firing`) is another thing.
Invariant: the interpreter's lock is kept, so that no other thread of Python's allocates meanwhile.
"""

from __future__ import annotations

import ctypes
import mmap
import os

from mmunotify.kernel.memory import PAGE
from mmunotify.live.firing import DONTNEED
from mmunotify.live.memory import Extent
from mmunotify.live.scratch import NotFiredError, Scratch

__all__ = ["and_keep", "away", "by_process", "call", "onto", "over", "punch", "shrink"]

_MAYMOVE, _FIXED, _DONTUNMAP = 1, 2, 4
_PUNCH_HOLE_KEEP_SIZE = 3


class _CLibrary:
    """The C library's functions, which return 0 or an address; an error is an OSError."""

    def __init__(self) -> None:
        self._library = ctypes.PyDLL(None, use_errno=True)

    def __call__(self, name: str, *arguments: int) -> int:
        function = getattr(self._library, name, None)
        if function is None:
            raise NotFiredError(f"the C library has no {name}")
        function.restype = ctypes.c_long
        result = int(function(*map(ctypes.c_long, arguments)))
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result


call = _CLibrary()
"""Call a function by its name; raise `NotFiredError` where the C library has none such."""


def over(memory: Scratch) -> None:
    """`mmap(MAP_FIXED)`."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
    call("mmap", *memory.span, 3, flags, -1, 0)


def away(memory: Scratch) -> None:
    """`mremap` to another address."""
    address, size = memory.span
    call("mremap", address, size, size, _MAYMOVE | _FIXED, memory.more().address)


def onto(memory: Scratch) -> None:
    """`mremap` of other memory onto the target."""
    address, size = memory.span
    call("mremap", memory.more().address, size, size, _MAYMOVE | _FIXED, address)


def and_keep(memory: Scratch) -> None:
    """`mremap(MREMAP_DONTUNMAP)`."""
    address, size = memory.span
    at = call("mremap", address, size, size, _MAYMOVE | _DONTUNMAP, 0)
    memory.elsewhere.append(Extent(at, size))


def shrink(memory: Scratch) -> None:
    """`mremap` to one page."""
    call("mremap", *memory.span, PAGE, 0)


def by_process(memory: Scratch) -> None:
    """`process_madvise(MADV_DONTNEED)` of this process by itself."""
    words = (ctypes.c_uint64 * 2)(*memory.span)
    pidfd = os.pidfd_open(os.getpid())
    try:
        call("process_madvise", pidfd, ctypes.addressof(words), 1, DONTNEED, 0)
    finally:
        os.close(pidfd)


def punch(memory: Scratch) -> None:
    """`fallocate(FALLOC_FL_PUNCH_HOLE)`."""
    call("fallocate", memory.fd, _PUNCH_HOLE_KEEP_SIZE, 0, memory.extent.length)
