"""Faults held off by a counter of open sections and a sequence of those that ended.

Invariant: a translation is installed only if no section was open at that moment and none ended
since its frame was looked up. Nobody waits for anybody: the fault tries again.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off.held import Held
from mmunotify.lang import RETRY, Counter, Epoch, FaultResult, PageRange
from mmunotify.primary.mm import Mm

__all__ = ["CounterSequence"]


class CounterSequence(Held):
    """What Linux came to use: KVM since 2.6.27, and `mmu_interval_notifier` since 5.5."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sections = Counter(high=7)
        self.sequence = Epoch()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Count the section and drop its translations, under one hold of the lock."""
        with self.lock:
            self.sections += 1
            self.drop(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Note that a section has ended, then count it down."""
        with self.lock:
            self.sequence.bump()
            self.sections -= 1

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Look the frame up without the lock; install it only if that is still the truth."""
        seen = self.sequence.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            stale = self.sections > 0 or self.sequence.read() != seen
            if not stale:
                self.spte[page] = frame
        frame.put()
        return RETRY if stale else None
