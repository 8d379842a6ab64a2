"""A secondary MMU that uses range_end alone: an array of pages is filled, flushed and emptied.

What the mail of 2 April 2008 weighs against range_start (its claim 18). Invariant: each translation
holds a reference to its frame, which is dropped only after the flush.
"""

from __future__ import annotations

from mmunotify.lang import Counter, Driver, Epoch, FaultResult, PageRange, SpinLock, Table
from mmunotify.lang.driver import RETRY
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["EndOnly"]


class EndOnly(Driver):
    """Frames are pinned while they are mapped; an array of `capacity` of them is put at a time.

    A section has cleared the page table, and others may have written to the new frames, before
    range_end drops the old translations: no frame is freed too early, but `no_stale_bytes` breaks.
    """

    def __init__(self, mm: Mm, capacity: int = 2) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.seq = Epoch()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.capacity = capacity
        self.array: Table[Frame | None] = Table(range(capacity))
        self.filled = Counter(high=capacity)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Drop the translations in `rng`, as many at a time as the array holds."""
        with self.lock:
            self.seq.bump()
            for page in rng:
                self.unmap(page)
            if self.filled > 0:
                self.drain()

    def release(self) -> None:
        """Drop everything."""
        with self.lock:
            self.seq.bump()
            for page in self.mm.pages:
                self.unmap(page)
            if self.filled > 0:
                self.drain()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Install a frame and keep its reference, unless a section ended meanwhile."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            stale = self.seq.read() != seq
            installed = not stale and self.spte[page] is None
            if installed:
                self.spte[page] = frame
        if not installed:
            frame.put()
        return RETRY if stale else None

    def unmap(self, page: int) -> None:
        """Move a frame from the table into the array; empty the array when it is full."""
        frame = self.spte[page]
        if frame is not None:
            self.spte[page] = None
            self.array[self.filled.read()] = frame
            self.filled += 1
            if self.filled == self.capacity:
                self.drain()

    def drain(self) -> None:
        """One flush for what is in the array, then the references may go."""
        self.tlb.flush()
        for slot in range(self.capacity):
            frame = self.array[slot]
            if frame is not None:
                self.array[slot] = None
                frame.put()
        self.filled.set(0)
