"""`Scratch`: a piece of memory to which operations are done, and what they did to its pages.

Invariant: an operation touches nothing but the scratch memory and what it has made itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

from mmunotify import _monitor
from mmunotify.kernel.memory import PAGE, PROT_NONE, map_pages
from mmunotify.kernel.segment import Segment
from mmunotify.kernel.system_call import Syscall, system_call
from mmunotify.live.address_space import AddressSpace
from mmunotify.live.memory import Extent
from mmunotify.live.operations import Kind

__all__ = [
    "HEAP",
    "HUGE",
    "PAGES",
    "PRIVATE_FILE",
    "Effect",
    "NotFiredError",
    "Scratch",
    "Shape",
    "effect_on",
    "entries_of",
    "scratch",
]

_NOHUGEPAGE = 15
# Of an entry: whether a page is there or in swap, and which. The other bits are no translation.
_PRESENT, _TRANSLATION = 1 << 63, 3 << 62 | (1 << 55) - 1
_FRAME = (1 << 55) - 1


class NotFiredError(Exception):
    """The operation cannot be done on this machine, or not by this user; says why."""


class Effect(Enum):
    """What an operation did to the translation of the pages that it was done to."""

    SAME = "same"
    OTHER = "other"  # another frame is behind an address
    GONE = "gone"
    HIDDEN = "there"  # a page, but /proc does not tell this user which

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Shape:
    """`pages` pages, on a multiple of `align`; `private` of a file, or at the end of the `heap`."""

    pages: int = 16
    align: int = PAGE
    private: bool = False
    heap: bool = False


PAGES = Shape()
HUGE = Shape(512, 512 * PAGE)
PRIVATE_FILE = Shape(private=True)
HEAP = Shape(heap=True)


class Child:
    """A child that shares the pages copy-on-write until it is told to end."""

    def __init__(self) -> None:
        self._running: tuple[int, int] | None = None

    def fork(self, *, by_hand: bool = False) -> None:
        """Start it, by `os.fork` or by the system call, of which Python knows nothing."""
        read, write = os.pipe()
        child = _monitor.fork_unseen(read, write) if by_hand else os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
        os.close(read)
        if child < 0:
            os.close(write)
            raise OSError(-child, os.strerror(-child))
        self._running = child, write

    def end(self) -> None:
        """Let it go."""
        if self._running is not None:
            child, write = self._running
            self._running = None
            os.close(write)
            os.waitpid(child, 0)


class Scratch:
    """Memory of one kind, every page written to. `target` is what operations are done to."""

    def __init__(self, kind: Kind, shape: Shape = PAGES) -> None:
        self.kind = kind
        self.shape = shape
        self.elsewhere: list[Extent] = []
        self.child = Child()
        self.undo = contextlib.ExitStack()
        self.length = shape.pages * PAGE
        self.fd = self._file()
        self.extent = self.target = self._first()
        self.touch()

    def map(self, at: int | None = None) -> int:
        """Map pages of the same kind, over others if `at` is given."""
        if self.kind is Kind.SYSV:
            return self.segment.attach(at)
        shared = self.kind is not Kind.ANONYMOUS and not self.shape.private
        return map_pages(self.length, at=at, fd=self.fd, shared=shared)

    def more(self) -> Extent:
        """Map pages somewhere else."""
        found = Extent(self.map(), self.length)
        self.elsewhere.append(found)
        return found

    def touch(self) -> None:
        """Write to every page that is there; a page of a private file is only read."""
        if self.shape.private:
            ctypes.string_at(self.extent.address, self.extent.length)
        else:
            ctypes.memset(self.extent.address, 1, self.extent.length)

    def call(self, number: int, *rest: int) -> int:
        """Make a system call on the target."""
        return system_call(number, self.target.address, self.target.length, *rest)

    @property
    def span(self) -> tuple[int, int]:
        """Address and length of the target."""
        return self.target.address, self.target.length

    @cached_property
    def segment(self) -> Segment:
        """What is attached, of System V's memory."""
        return Segment(self.length)

    @cached_property
    def mm(self) -> AddressSpace:
        """An address space through which operations can be done; it hears of no others."""
        found = AddressSpace(monitors=["explicit"])
        self.undo.callback(found.close)
        return found

    def close(self) -> None:
        """Give back everything that may be left."""
        self.child.end()
        self.undo.close()
        if not self.shape.heap:
            self.elsewhere.append(self.extent)
        for extent in self.elsewhere:
            system_call(Syscall.MUNMAP, extent.address, extent.length)

    def _file(self) -> int:
        if self.kind is Kind.SHARED:
            fd = os.memfd_create("mmunotify", os.MFD_CLOEXEC)
        elif self.kind is Kind.FILE:
            fd, path = tempfile.mkstemp(prefix="mmunotify-")
            Path(path).unlink()
        else:
            return -1
        self.undo.callback(os.close, fd)
        os.truncate(fd, self.length)
        return fd

    def _first(self) -> Extent:
        if self.shape.heap:
            return Extent(_raise_heap(self.length), self.length)
        address, length = self._mapped(), self.length
        with contextlib.suppress(OSError):  # a kernel without huge pages
            system_call(Syscall.MADVISE, address, length, _NOHUGEPAGE)
        return Extent(address, length)

    def _mapped(self) -> int:
        """Map the pages where `shape` wants them."""
        if self.kind is Kind.SYSV:
            return self.segment.address
        if self.shape.align == PAGE:
            return self.map()
        spare = map_pages(self.length + self.shape.align, protection=PROT_NONE)
        address = self.map(-(-spare // self.shape.align) * self.shape.align)
        ends = address + self.length, spare + self.length + self.shape.align
        for start, end in ((spare, address), ends):
            if start < end:
                system_call(Syscall.MUNMAP, start, end - start)
        return address


@contextmanager
def scratch(kind: Kind, shape: Shape = PAGES) -> Iterator[Scratch]:
    """Give scratch memory and take it away again."""
    found = Scratch(kind, shape)
    try:
        yield found
    finally:
        found.close()


def _raise_heap(length: int) -> int:
    """Make the heap longer; return where its last `length` bytes begin.

    The allocator copes with an end that others have moved, and goes on behind it.
    """
    libc = ctypes.PyDLL(None)
    libc.sbrk.restype = ctypes.c_void_p
    found = libc.sbrk(ctypes.c_long(2 * length))
    if found in (None, ctypes.c_void_p(-1).value):
        raise NotFiredError("the heap cannot grow")
    end = int(found) + 2 * length
    libc.brk(ctypes.c_void_p(end // PAGE * PAGE))
    return end // PAGE * PAGE - length


def entries_of(extent: Extent, process: int | str = "self") -> tuple[int, ...]:
    """Return the page table entries as the kernel shows them: which page (to root only), or none.

    Bits that are no translation (soft-dirty, mapped once, write-protected) are left out.
    """
    count = extent.length // PAGE
    with Path(f"/proc/{process}/pagemap").open("rb", buffering=0) as pagemap:
        pagemap.seek(extent.address // PAGE * 8)
        data = pagemap.read(8 * count)
    return tuple(
        int.from_bytes(data[at : at + 8], "little") & _TRANSLATION for at in range(0, 8 * count, 8)
    )


def effect_on(before: tuple[int, ...], after: tuple[int, ...]) -> Effect:
    """Tell what happened to pages that were there: to any, the worst counts."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old & _PRESENT]
    if any(not new & _PRESENT for _, new in pairs):
        return Effect.GONE
    if any(old != new for old, new in pairs):
        return Effect.OTHER
    return Effect.SAME if any(old & _FRAME for old, _ in pairs) else Effect.HIDDEN
