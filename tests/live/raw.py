"""System calls on memory as others make them: past mmunotify, without the interpreter's lock."""

from __future__ import annotations

import ctypes
import mmap
import os
from dataclasses import dataclass

__all__ = ["PAGE", "Memory", "libc", "raw"]

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
for _name in ("mmap", "mremap"):
    getattr(libc, _name).restype = ctypes.c_void_p
_SIZES = (ctypes.c_void_p, ctypes.c_size_t)
libc.mmap.argtypes = [*_SIZES, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [*_SIZES]
libc.mremap.argtypes = [*_SIZES, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.madvise.argtypes = [*_SIZES, ctypes.c_int]
libc.mprotect.argtypes = [*_SIZES, ctypes.c_int]

SHARED, PRIVATE, FIXED, ANONYMOUS = 1, 2, 0x10, 0x20


def raw(result: int | None) -> int:
    """Return the result of a call; raise OSError if it failed."""
    if result in (-1, None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    assert result is not None
    return result


@dataclass
class Memory:
    """A mapping made by hand: `flags` SHARED or PRIVATE, at `address` if it is given."""

    pages: int = 16
    flags: int = SHARED
    address: int = 0
    fd: int = -1

    def __post_init__(self) -> None:
        fixed = FIXED if self.address else 0
        anonymous = ANONYMOUS if self.fd < 0 else 0
        flags = self.flags | fixed | anonymous
        self.address = raw(libc.mmap(self.address, self.length, 3, flags, self.fd, 0))

    @property
    def length(self) -> int:
        """In bytes."""
        return self.pages * PAGE

    @property
    def span(self) -> tuple[int, int]:
        """Address and length, as the live side takes them."""
        return self.address, self.length

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.length

    def write(self, data: bytes, page: int = 0) -> None:
        """Write by the CPU."""
        ctypes.memmove(self.address + page * PAGE, data, len(data))

    def fill(self) -> None:
        """Touch every page."""
        ctypes.memset(self.address, 1, self.length)

    def unmap(self, first: int = 0, pages: int | None = None) -> None:
        """`munmap` of all or some pages."""
        count = self.pages if pages is None else pages
        raw(libc.munmap(self.address + first * PAGE, count * PAGE))

    def advise(self, advice: int, first: int = 0, pages: int | None = None) -> None:
        """`madvise` of all or some pages."""
        count = self.pages if pages is None else pages
        raw(libc.madvise(self.address + first * PAGE, count * PAGE, advice))
