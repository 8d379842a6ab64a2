"""`SegmentFiles`: the memory that an `Exporter` can export, each of a memfd of its own.

Invariant: a file is open as long as any of it is mapped where it was allocated.
"""

from __future__ import annotations

import errno
import mmap
import os

from mmunotify.live.mapping import Mapping, mappings_in
from mmunotify.live.memory import PAGE_SIZE, extent_of

__all__ = ["SegmentFiles", "is_mapped"]

_NAME = "mmunotify-segment"


class SegmentFiles:
    """Files by descriptor, with the address that each begins at. The caller excludes threads."""

    def __init__(self) -> None:
        self._starts: dict[int, int] = {}

    def allocate(self, length: int) -> mmap.mmap:
        """Return new memory of whole pages."""
        file = self.open(length)
        try:
            memory = mmap.mmap(file, os.fstat(file).st_size)
        except BaseException:
            os.close(file)
            raise
        self.add(file, extent_of(memory).address)
        return memory

    @staticmethod
    def open(length: int) -> int:
        """Return a new file of whole pages."""
        file = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        try:
            os.truncate(file, -(-length // PAGE_SIZE) * PAGE_SIZE)
        except BaseException:
            os.close(file)
            raise
        return file

    def add(self, file: int, start: int) -> None:
        """Take a file that was mapped at `start`."""
        self.sweep()
        self._starts[file] = start

    def at(self, address: int, length: int) -> tuple[int, int]:
        """Return the file that has these pages, and where in it they begin.

        The kernel is asked: the memory may be gone, and other memory at its addresses. OSError
        EINVAL if it is no memory of one of the files, or not where it was.
        """
        for file, start in self._starts.items():
            offset = address - start
            inside = 0 <= offset <= os.fstat(file).st_size - length
            if inside and is_mapped(file, offset, address, length):
                return file, offset
        raise OSError(errno.EINVAL, "not memory that Exporter.allocate returned")

    def sweep(self) -> None:
        """Give back the files of memory that was unmapped."""
        for file, start in list(self._starts.items()):
            if not _of_file(file, start, start + os.fstat(file).st_size):
                del self._starts[file]
                os.close(file)

    def close(self) -> None:
        """Give all back."""
        for file in self._starts:
            os.close(file)
        self._starts.clear()


def is_mapped(file: int, offset: int, address: int, length: int) -> bool:
    """Tell whether these addresses have the bytes of a file from `offset` on."""
    end = address + length
    found = _of_file(file, address, end)
    mapped = sum(min(m.end, end) - max(m.start, address) for m in found)
    return mapped == length and all(m.offset == m.start - address + offset for m in found)


def _of_file(file: int, start: int, end: int) -> list[Mapping]:
    """Return the mappings in `[start, end)` that are of a file."""
    inode = os.fstat(file).st_ino
    return [m for m in mappings_in(start, end) if m.inode == inode and _NAME in m.name]
