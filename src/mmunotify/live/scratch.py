"""`Scratch`: a few pages of memory, and every operation that can be done to them by hand.

Invariant: an operation touches nothing but the scratch pages and what it has made itself.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from mmunotify.kernel.memory import PAGE, map_pages
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind

__all__ = ["FIRED", "PREPARED", "NotFiredError", "Scratch", "page_table_entry", "scratch"]

_PAGES = 16
_DONTNEED, _FREE, _REMOVE, _PAGEOUT, _GUARD_INSTALL = 4, 8, 9, 21, 102
_MAYMOVE, _FIXED, _DONTUNMAP = 1, 2, 4
_PUNCH_HOLE, _KEEP_SIZE = 2, 1


class NotFiredError(Exception):
    """The operation cannot be done on this machine, or not by a program; says why."""


class Child:
    """A child that shares the pages copy-on-write until it is told to end."""

    def __init__(self) -> None:
        self._running: tuple[int, int] | None = None

    def fork(self) -> None:
        """Start it."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        os.close(read)
        self._running = child, write

    def end(self) -> None:
        """Let it go."""
        if self._running is not None:
            child, write = self._running
            self._running = None
            os.close(write)
            os.waitpid(child, 0)


class Scratch:
    """Memory of one kind, every page written to."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.fd = -1
        if kind is Kind.SHARED:
            self.fd = os.memfd_create("mmunotify", os.MFD_CLOEXEC)
            os.truncate(self.fd, _PAGES * PAGE)
        self.extent = Extent(self.map(), _PAGES * PAGE)
        self.elsewhere: list[Extent] = []
        self.child = Child()
        self.touch()

    def map(self, at: int | None = None) -> int:
        """Map pages of the same kind, over others if `at` is given."""
        shared = self.kind is not Kind.ANONYMOUS
        return map_pages(_PAGES * PAGE, at=at, fd=self.fd, shared=shared)

    def more(self) -> Extent:
        """Map pages somewhere else."""
        found = Extent(self.map(), _PAGES * PAGE)
        self.elsewhere.append(found)
        return found

    def touch(self) -> None:
        """Write to every page that is there."""
        ctypes.memset(self.extent.address, 1, self.extent.length)

    def call(self, number: int, *rest: int) -> int:
        """Make a system call on the whole range."""
        return system_call(number, self.extent.address, self.extent.length, *rest)

    def close(self) -> None:
        """Unmap everything that may be left."""
        self.child.end()
        for extent in (self.extent, *self.elsewhere):
            system_call(Syscall.MUNMAP, extent.address, extent.length)
        if self.fd >= 0:
            os.close(self.fd)


@contextmanager
def scratch(kind: Kind) -> Iterator[Scratch]:
    """Give scratch memory and take it away again."""
    found = Scratch(kind)
    try:
        yield found
    finally:
        found.close()


def _advise(advice: int) -> Callable[[Scratch], None]:
    def fire(memory: Scratch) -> None:
        try:
            memory.call(Syscall.MADVISE, advice)
        except OSError as error:
            raise NotFiredError(f"madvise({advice}): {error.strerror}") from error

    return fire


def _move(memory: Scratch) -> None:
    memory.call(Syscall.MREMAP, memory.extent.length, _MAYMOVE | _FIXED, memory.more().address)


def _move_onto(memory: Scratch) -> None:
    source, size = memory.more(), memory.extent.length
    flags = _MAYMOVE | _FIXED
    system_call(Syscall.MREMAP, source.address, size, size, flags, memory.extent.address)


def _move_and_keep(memory: Scratch) -> None:
    size = memory.extent.length
    at = memory.call(Syscall.MREMAP, size, _MAYMOVE | _DONTUNMAP, 0)
    memory.elsewhere.append(Extent(at, size))


def _process_madvise(memory: Scratch) -> None:
    words = (ctypes.c_uint64 * 2)(memory.extent.address, memory.extent.length)
    pidfd = os.pidfd_open(os.getpid())
    try:
        vector = ctypes.addressof(words)
        system_call(Syscall.PROCESS_MADVISE, pidfd, vector, 1, _DONTNEED, 0)
    except OSError as error:
        raise NotFiredError("process_madvise takes no MADV_DONTNEED before Linux 6.13") from error
    finally:
        os.close(pidfd)


def _punch_hole(memory: Scratch) -> None:
    mode = _PUNCH_HOLE | _KEEP_SIZE
    system_call(Syscall.FALLOCATE, memory.fd, mode, 0, memory.extent.length)


def _fork(memory: Scratch) -> None:
    memory.child.fork()
    memory.child.end()


def _read_zero_pages(memory: Scratch) -> None:
    memory.call(Syscall.MADVISE, _DONTNEED)
    ctypes.string_at(memory.extent.address, memory.extent.length)


def _pageout(memory: Scratch) -> None:
    before = page_table_entry(memory.extent.address)
    memory.call(Syscall.MADVISE, _PAGEOUT)
    if page_table_entry(memory.extent.address) == before:
        raise NotFiredError("without swap space private pages stay where they are")


def page_table_entry(address: int, process: int | str = "self") -> bytes:
    """Read an entry as the kernel shows it: whether a page is there, and which (to root only)."""
    with Path(f"/proc/{process}/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(address // PAGE * 8)
        return pagemap.read(8)


def _not_by_a_program(why: str) -> Callable[[Scratch], None]:
    def fire(_: Scratch) -> None:
        raise NotFiredError(why)

    return fire


FIRED: MappingProxyType[str, Callable[[Scratch], None]] = MappingProxyType(
    {
        "munmap": lambda memory: (memory.call(Syscall.MUNMAP), None)[1],
        "mmap_fixed": lambda memory: (memory.map(memory.extent.address), None)[1],
        "mremap": _move,
        "mremap_onto": _move_onto,
        "mremap_dontunmap": _move_and_keep,
        "mremap_shrink": lambda memory: (memory.call(Syscall.MREMAP, PAGE, 0), None)[1],
        "brk": _not_by_a_program("the end of the heap belongs to the allocator"),
        "madv_dontneed": _advise(_DONTNEED),
        "process_madvise": _process_madvise,
        "madv_remove": _advise(_REMOVE),
        "madv_free": _advise(_FREE),
        "madv_guard_install": _advise(_GUARD_INSTALL),
        "punch_hole": _punch_hole,
        "ftruncate": lambda memory: os.truncate(memory.fd, 0),
        "mprotect": lambda memory: (memory.call(Syscall.MPROTECT, 1), None)[1],
        "madv_pageout": _pageout,
        "reclaim": _not_by_a_program("the kernel reclaims when it is short of memory"),
        "madv_collapse": _not_by_a_program("needs a huge page's worth of memory"),
        "migrate": _not_by_a_program("the kernel migrates when it compacts or balances"),
        "ksm": _not_by_a_program("ksmd merges in its own time"),
        "fork": _fork,
        "cow": Scratch.touch,
        "zero_page": Scratch.touch,
        "write": Scratch.touch,
    }
)
"""What does each operation of `live.operations`, by hand, to all of the scratch pages."""

PREPARED: MappingProxyType[str, Callable[[Scratch], None]] = MappingProxyType(
    {"cow": lambda memory: memory.child.fork(), "zero_page": _read_zero_pages}
)
"""What has to be done to them before."""
