"""madvise(): the process gives back what is in its pages, and keeps the mapping."""

from __future__ import annotations

from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Dontneed", "Free"]


class Dontneed(Operation):
    """MADV_DONTNEED of one page; faults on it may go on all the while.

    Sequence: S(CLEAR); clear and gather; [batch full: flush, free]; E; flush; free.
    """

    name = "madvise_dontneed"
    function = "zap_page_range_single"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Zap one page."""
        rng = PageRange(self.pick(), event=Event.CLEAR)
        with self.mm.mmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(rng)
            self.tlb.finish_around_end(rng)


class Free(Operation):
    """MADV_FREE of one page: clean from now on, it may be discarded while nobody writes to it.

    Sequence: S(CLEAR); clear dirty and young in place; E; flush. The page keeps its mapping. What a
    secondary MMU writes without a new fault would be discarded, so the dirty bit counts as write
    permission here.
    """

    name = "madvise_free"
    function = "madvise_free_single_vma"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True

    def run(self) -> None:
        """Make one page clean."""
        mm = self.mm
        page = self.pick()
        rng = PageRange(page, event=Event.CLEAR)
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            with mm.page_table_lock:
                mm.ghost.write_protected(page, self)  # clear the dirty bit
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
        mm.ghost.returned(page, self)
