"""Faults held off by a sequence lock that is write-held from range_start to range_end.

The invariant would be that one section is open at a time. It is not so: sections run in parallel,
and they sleep.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off.held import Held
from mmunotify.lang import RETRY, FaultResult, PageRange, SeqCount, SeqLock
from mmunotify.primary.mm import Mm

__all__ = ["HeldSeqCount", "HeldSeqLock"]


class HeldSeqLock(Held):
    """`write_seqlock` in range_start, `write_sequnlock` in range_end.

    The write side is a spinlock, so that the section is in atomic context while it lasts; whatever
    sleeps in it is wrong.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sequence = SeqLock()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Make readers wait, then drop the translations."""
        self.sequence.write_lock()
        with self.lock:
            self.drop(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let readers go on."""
        self.sequence.write_unlock()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Wait for the section to end, look the frame up, install it if none began meanwhile."""
        seen = self.sequence.read_begin()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            stale = self.sequence.read_retry(seen)
            if not stale:
                self.spte[page] = frame
        frame.put()
        return RETRY if stale else None


class HeldSeqCount(Held):
    """The same without the spinlock between writers: a section may sleep, but only one may be open.

    "Global seqlock" of the first drafts; two sections that overlap leave the sequence even in the
    middle of both.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sequence = SeqCount()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Make readers wait, then drop the translations."""
        self.sequence.write_begin()
        with self.lock:
            self.drop(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let readers go on."""
        self.sequence.write_end()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """As above."""
        seen = self.sequence.read_begin()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            stale = self.sequence.read_retry(seen)
            if not stale:
                self.spte[page] = frame
        frame.put()
        return RETRY if stale else None
