"""`PageTable`: the page table of another process, as far as /proc shows it, and its page faults.

Frames are known by their numbers. Who may not see these (CAP_SYS_ADMIN) counts, for each page, how
often it was found to be gone: that misses frames which take the place of others unseen.
Invariant: a process is never changed but as a device's fault changes it: pages become present, and
copies are made of what is shared.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from typing import Final

from mmunotify.live.memory import PAGE_SIZE, Extent
from mmunotify.live.pagemap import PRESENT, SWAPPED, Wanted, pagemap_scan

__all__ = ["PageTable"]

_RUNS: Final = 1024  # that one call reports
_PRESENT, _FILE, _EXCLUSIVE = 1 << 63, 1 << 61, 1 << 56  # Documentation/admin-guide/mm/pagemap.rst
_FRAME: Final = (1 << 55) - 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOWHERE: Final = 1  # an address in the first page, which is never mapped


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_size_t), ("length", ctypes.c_size_t))


class PageTable:
    """Of process `process`, until its memory goes. Raises OSError where it may not be read."""

    def __init__(self, process: int) -> None:
        self.hides_frames = False
        self._process = process
        self._pagemap = os.open(f"/proc/{process}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self._times: dict[int, int] = {}  # that a page was found, where frames are hidden

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._pagemap)
        self._pagemap = -1

    def lives(self) -> bool:
        """Whether the memory is there yet: exec and the end of the last thread take it away."""
        return self._pagemap >= 0 and bool(os.pread(self._pagemap, 8, 0))

    def frame(self, page: int) -> int | None:
        """The number of the frame at a page, None if the entry is not present."""
        return self._frame(page, *self._entries(page, 1))

    def frame_for(self, page: int, write: bool) -> int | None:
        """As `frame`, but None, too, where the page is shared and a write would have to copy it."""
        [entry] = self._entries(page, 1)
        found = self._frame(page, entry)
        return None if write and not entry & _EXCLUSIVE else found

    def is_file(self, page: int) -> bool:
        """Whether what is there belongs to a file, or to memory that processes share."""
        return bool(self._entries(page, 1)[0] & _FILE)

    def present(self, first: int, count: int, files: bool) -> list[int]:
        """Return the pages that are there, of anonymous memory, with `files` others too."""
        wanted = _PRESENT, _PRESENT | (0 if files else _FILE)
        found = enumerate(self._entries(first, count), first)
        return [page for page, entry in found if entry & wanted[1] == wanted[0]]

    def populated(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the first page and the number of each run of pages that are there, or in swap.

        Raises OSError before Linux 6.7.
        """
        at = first * PAGE_SIZE
        wanted = Wanted(any_of=PRESENT | SWAPPED)
        while at < end * PAGE_SIZE and self._pagemap >= 0:
            left = Extent(at, end * PAGE_SIZE - at)
            found, at = pagemap_scan(self._pagemap, left, wanted, _RUNS)
            yield from ((one.address // PAGE_SIZE, one.length // PAGE_SIZE) for one in found)

    def fault_in(self, page: int, write: bool) -> None:
        """Have the kernel make a page present, for a write its own; nothing is written to it.

        That is `get_user_pages` of another process's memory: for a write the pages are taken, and
        then there is nothing to copy to them.
        """
        buffer = ctypes.c_char()
        ours = _IoVec(_NOWHERE if write else ctypes.addressof(buffer), 1)
        theirs = _IoVec(page * PAGE_SIZE, 1)
        call = _LIBC.process_vm_writev if write else _LIBC.process_vm_readv
        call(self._process, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)

    def _frame(self, page: int, entry: int) -> int | None:
        if not entry & _PRESENT:
            if page in self._times:
                self._times[page] += 1
            return None
        if entry & _FRAME:
            return entry & _FRAME
        self.hides_frames = True
        return self._times.setdefault(page, 1)

    def _entries(self, first: int, count: int) -> list[int]:
        """The entries of pagemap; where memory has gone nothing is present."""
        if self._pagemap < 0:
            return [0] * count
        data = os.pread(self._pagemap, 8 * count, 8 * first)
        return list(memoryview(data.ljust(8 * count, b"\0")).cast("Q"))
