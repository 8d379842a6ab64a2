"""Where an object's memory is: from buffers, mmap objects and arrays to addresses.

Invariant: a `MemoryRange` is made of whole pages; `start` and `size` count pages, as in the model,
so that a page of real memory is the number `address // PAGE_SIZE`.
"""

from __future__ import annotations

import mmap
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, TypeAlias

from mmunotify import _monitor
from mmunotify.errors import Diagnostic, DiagnosticError
from mmunotify.lang.page_range import Event, PageRange

__all__ = ["PAGE_SIZE", "Extent", "Memory", "MemoryRange", "extent_of", "pages_of"]

PAGE_SIZE = mmap.PAGESIZE

Memory: TypeAlias = Any
"""Something with a contiguous buffer (mmap, array, memoryview, bytes), or (address, length)."""


@dataclass(frozen=True)
class MemoryRange(PageRange):
    """The `PageRange` that hooks get in live: pages of real memory.

    `operation` is what happened, as the monitor calls it ("munmap", "discard", "mremap", ...), and
    `thread` the number of the thread of another program that does it, 0 in this one. A range with
    `pieces` has the pages of these alone, between its first and its last one.
    """

    operation: str = ""
    thread: int = 0
    pieces: tuple[MemoryRange, ...] = ()

    @property
    def address(self) -> int:
        """The first byte."""
        return self.start * PAGE_SIZE

    @property
    def length(self) -> int:
        """The number of bytes."""
        return self.size * PAGE_SIZE

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.pieces) if self.pieces else super().__iter__()

    def __contains__(self, page: int) -> bool:
        if self.pieces:
            return any(page in piece for piece in self.pieces)
        return super().__contains__(page)

    @classmethod
    def over(cls, pieces: Sequence[MemoryRange]) -> MemoryRange:
        """Return the range of some pieces, in order, at least one, of one operation."""
        first, last = pieces[0], pieces[-1]
        if first is last:
            return first
        return replace(first, size=last.end - first.start, pieces=tuple(pieces))

    @classmethod
    def around(
        cls, start: int, end: int, event: Event, operation: str, thread: int = 0
    ) -> MemoryRange:
        """Return the pages that the bytes `[start, end)` lie in."""
        first = start // PAGE_SIZE
        return cls(first, -(-end // PAGE_SIZE) - first, event, True, operation, thread)


@dataclass(frozen=True)
class Extent:
    """The bytes `[address, address + length)`."""

    address: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.address + self.length


def extent_of(memory: Memory) -> Extent:
    """Return where `memory` is; raise `DiagnosticError` E411 for what has no place to rely on."""
    if isinstance(memory, tuple):
        try:
            address, length = map(operator.index, memory)
        except (TypeError, ValueError):
            problem = "it is not two numbers, address and length"
            raise DiagnosticError(_no_memory(memory, problem)) from None
    else:
        _refuse_bytearray(memory)
        try:
            address, length, _ = _monitor.extent(memory)
        except (TypeError, BufferError, ValueError) as problem:
            raise DiagnosticError(_no_memory(memory, str(problem))) from problem
    if length <= 0 or address <= 0:
        raise DiagnosticError(_no_memory(memory, "it is empty"))
    return Extent(address, length)


def pages_of(extent: Extent) -> Extent:
    """Return the whole pages that `extent` lies in."""
    start = extent.address // PAGE_SIZE * PAGE_SIZE
    end = -(-extent.end // PAGE_SIZE) * PAGE_SIZE
    return Extent(start, end - start)


def _refuse_bytearray(memory: Memory) -> None:
    if not isinstance(memory, bytearray):
        return
    raise DiagnosticError(
        Diagnostic(
            "E411",
            None,
            "a bytearray has no address to rely on",
            "it moves when it grows, and its old memory goes back to the allocator, which unmaps "
            "nothing: no monitor could tell",
            "memoryview(data)  # holds it in place while the view lives",
        )
    )


def _no_memory(memory: Memory, problem: str) -> Diagnostic:
    return Diagnostic(
        "E411",
        None,
        f"{type(memory).__name__} has no memory to watch: {problem}",
        "memory is an object with a contiguous buffer, or a tuple of address and length",
        "mmap.mmap(-1, 1 << 20)",
    )
