"""`MmuGather`: frames whose entries are cleared and that are freed after the flush.

Invariant: a gathered frame keeps the reference of the entry that mapped it until the CPUs' TLBs are
flushed (`struct mmu_gather`).
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.maybe import maybe
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["MmuGather"]


class MmuGather:
    """The gather of one operation."""

    def __init__(self, mm: Mm) -> None:
        self.mm = mm
        self.frames: Table[Frame | None] = Table(mm.pages)
        self.cached: Table[Frame | None] = Table(mm.pages)

    def zap(self, rng: PageRange) -> None:
        """Clear the entries of `rng` (`zap_pte_range`)."""
        mm = self.mm
        with mm.page_table_lock:
            for page in rng:
                with atomic():
                    frame = mm.clear_pte(page)
                    self.frames[page] = frame
                    if mm.ghost.watches_gathers and frame is not None:
                        frame.gathered = True
                    self.cached[page] = mm.take_swap_cache(page)  # free_swap_and_cache

    def finish(self, rng: PageRange) -> None:
        """Flush, then free what was gathered (`tlb_finish_mmu`)."""
        self.mm.flush_tlb_range(rng)
        for page in rng:
            frame = self.frames[page]
            self.frames[page] = None
            if frame is not None:
                if self.mm.ghost.watches_gathers:
                    frame.gathered = False
                self.mm.put_unmapped(frame)
            cached = self.cached[page]
            self.cached[page] = None
            if cached is not None:
                cached.put()

    def finish_around_end(self, rng: PageRange) -> None:
        """End the section and finish, in either order: a full batch is freed inside it."""
        if maybe():
            self.finish(rng)
            self.mm.notifiers.invalidate_range_end(rng)
        else:
            self.mm.notifiers.invalidate_range_end(rng)
            self.finish(rng)
