"""mremap(): pages move to other addresses, with their frames."""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Mremap"]


class Mremap(Operation):
    """mremap(MREMAP_MAYMOVE) of the first page to where the last one would be.

    Sequence: S(UNMAP) on the old range only; both page-table locks: clear old, set new, flush old;
    unlock; E. Nothing was mapped in the new range, so nobody needs to hear of it.
    """

    name = "mremap"
    function = "move_page_tables"
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_moves = True
        self.old = 0 if page is None else page
        self.new = len(mm.pages) - 1
        mm.vma[self.new] = False

    def run(self) -> None:
        """Move one page."""
        mm = self.mm
        rng = PageRange(self.old, event=Event.UNMAP)
        with mm.mmap_lock.write:
            if mm.vma[self.new] or not mm.vma[self.old]:
                return  # the new place is taken, or there is nothing to move any more
            mm.vma[self.new] = True
            mm.notifiers.invalidate_range_start(rng)
            with mm.page_table_lock:
                frame = self.move()
                mm.flush_tlb_range(rng)
                mm.ghost.moved[self.old] = frame
            mm.notifiers.invalidate_range_end(rng)
            mm.vma[self.old] = False

    def move(self) -> Frame | None:
        """Clear the old entry and set the new one (`move_ptes`); return the frame that moves."""
        mm = self.mm
        with atomic():
            write = mm.pte_write[self.old]
            migration = mm.migration[self.old]
            frame = mm.clear_pte(self.old)
            if frame is not None:
                mm.set_pte(self.new, frame, write)
            else:
                mm.pte_write[self.new] = write
                mm.migration[self.new] = migration
            mm.swap_cache[self.new] = mm.take_swap_cache(self.old)
            return frame
