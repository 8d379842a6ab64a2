"""Faults held off by an rwsem that is read-held from range_start to range_end.

Invariant: a translation is installed by a writer, so never while a section is open. The frame is
looked up again under the lock, without sleeping: a lookup from before it may be out of date.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off.held import Held
from mmunotify.lang import RETRY, FaultResult, PageRange, RwSem
from mmunotify.primary.mm import Mm

__all__ = ["HeldRwSem"]


class HeldRwSem(Held):
    """`down_read` in range_start, `up_read` in range_end, faults are the writers.

    Sections may overlap. What is wrong with it: the thread that begins a section may wait for a
    fault, so a section that must not sleep cannot begin; a section whose end does not come (its
    subscriber leaves) keeps the lock; and a writer that waits keeps readers out, so that a section
    inside another one of the same thread never begins.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sem: RwSem = RwSem()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Keep faults out, then drop the translations."""
        self.sem.down_read()
        with self.lock:
            self.drop(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let faults in."""
        self.sem.up_read()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Fault the page in; then install what is there when no section is open."""
        self.mm.get_user_page(page, write).put()
        with self.sem.write:
            frame = self.mm.get_user_page_fast_only(page, write)
            if frame is None:
                return RETRY
            with self.lock:
                self.spte[page] = frame
            frame.put()
        return None
