"""System calls by number, for what Python's library does not wrap.

The global interpreter lock is released during each call. Invariant: an error of the kernel is an
`OSError` with its errno, never a return value.
"""

from __future__ import annotations

import ctypes
import os
import platform

from mmunotify.errors import CannotError, Diagnostic

__all__ = ["Syscall", "address_of", "system_call"]

_MACHINE = platform.machine()
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


class Syscall:
    """Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl)."""

    MMAP = 9
    MPROTECT = 10
    MUNMAP = 11
    MREMAP = 25
    MADVISE = 28
    GETTID = 186
    SECCOMP = 317
    BPF = 321
    USERFAULTFD = 323
    MLOCK = 149
    MUNLOCK = 150
    PRCTL = 157
    PTRACE = 101
    PERF_EVENT_OPEN = 298
    PKEY_MPROTECT = 329
    FALLOCATE = 285
    IO_URING_SETUP = 425
    IO_URING_ENTER = 426
    FSOPEN = 430
    FSCONFIG = 431
    FSMOUNT = 432
    PROCESS_MADVISE = 440


def system_call(number: int, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call with at most six arguments; raise `OSError` if it fails.

    Raises `CannotError` on another processor, where the numbers mean other calls.
    """
    if _MACHINE != "x86_64":
        what = f"the system calls are those of x86_64, and this is {_MACHINE}"
        raise CannotError(Diagnostic("E401", None, what))
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def address_of(buffer: ctypes.Array[ctypes.c_char] | ctypes.Structure) -> int:
    """The address of a ctypes object, for arguments that hold pointers."""
    return ctypes.addressof(buffer)
