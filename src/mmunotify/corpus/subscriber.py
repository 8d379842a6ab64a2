"""`Subscriber`: the driver that bugs of the mm and of the protocols are shown with.

Invariant: it is right. A translation is in its table only while no section that the driver knows of
covers the page.
"""

from __future__ import annotations

from mmunotify.lang import Counter, Driver, Epoch, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Subscriber"]


class Subscriber(Driver):
    """A table that the device walks, under one lock, with a count of sections and a sequence."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.count = Counter(high=7)  # open sections
        self.seq = Epoch()  # sections that ended

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop the translations, and keep new ones out."""
        with self.lock:
            self.count += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let new ones in."""
        with self.lock:
            self.seq.bump()
            self.count -= 1

    def release(self) -> None:
        """Drop everything."""
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page: int, write: bool) -> None:
        """Make a translation, unless a section came in between."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                self.spte[page] = frame
        frame.put()
