"""`Memory`: pages of this process mapped by raw system calls, at addresses that are known.

Invariant: `close` unmaps exactly the reserved range, whatever was mapped over parts of it.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from mmunotify.kernel.closing import Closing
from mmunotify.kernel.system_call import Syscall, system_call

__all__ = ["PAGE", "PROT_NONE", "PROT_READ", "PROT_RW", "Memory", "map_pages", "read64", "write64"]

PAGE: Final = os.sysconf("SC_PAGE_SIZE")
PROT_NONE: Final = 0
PROT_READ: Final = 1
PROT_RW: Final = 3
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE = 0x1, 0x2, 0x10, 0x20, 0x4000


def map_pages(
    length: int,
    *,
    at: int | None = None,
    fd: int = -1,
    offset: int = 0,
    protection: int = PROT_RW,
    shared: bool = False,
) -> int:
    """Map `length` bytes and return their address; `at` replaces what is mapped there."""
    flags = _SHARED if shared else _PRIVATE
    flags |= _ANONYMOUS if fd < 0 else 0
    flags |= 0 if at is None else _FIXED
    return system_call(Syscall.MMAP, at or 0, length, protection, flags | _NORESERVE, fd, offset)


class Memory(Closing):
    """`pages` pages on an address that is a multiple of `align`, anonymous or of the file `fd`."""

    def __init__(
        self, pages: int, *, align: int = PAGE, fd: int = -1, shared: bool = False
    ) -> None:
        self.size = pages * PAGE
        spare = 0 if align == PAGE else align
        base = map_pages(self.size + spare, protection=PROT_NONE)
        self.start = -(-base // align) * align
        self._reserved = (base, self.size + spare)
        map_pages(self.size, at=self.start, fd=fd, shared=shared)

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.start + self.size

    def page(self, number: int) -> int:
        """The address of a page."""
        return self.start + number * PAGE

    def write(self, number: int, value: int) -> None:
        """Write the first word of a page."""
        write64(self.page(number), value)

    def read(self, number: int) -> int:
        """Read the first word of a page."""
        return read64(self.page(number))

    def touch(self, value: int = 1) -> None:
        """Write `value` to the first word of every page, so that each has a frame."""
        for address in range(self.start, self.end, PAGE):
            write64(address, value)

    def close(self) -> None:
        """Unmap it."""
        base, length = self._reserved
        if length:
            self._reserved = (base, 0)
            system_call(Syscall.MUNMAP, base, length)


def read64(address: int) -> int:
    """Read a word of this process's memory, by one load."""
    return ctypes.c_uint64.from_address(address).value


def write64(address: int, value: int) -> None:
    """Write a word of this process's memory, by a store without a load before it."""
    # Assigning to a ctypes integer reads the old value first, which would map the zero page.
    ctypes.memmove(address, value.to_bytes(8, "little"), 8)
