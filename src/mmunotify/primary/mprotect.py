"""mprotect(): write permission goes away, the frames stay."""

from __future__ import annotations

from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["ClearRefs", "Mprotect"]


class Mprotect(Operation):
    """mprotect(PROT_READ) of one page.

    Sequence: S(PROTECTION_VMA); write-protect; E; flush. The flush comes after E (`mmu_gather`).
    """

    name = "mprotect"
    function = "change_protection"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True

    def run(self) -> None:
        """Make one page read-only."""
        mm = self.mm
        page = self.pick()
        rng = PageRange(page, event=Event.PROTECTION_VMA)
        with mm.mmap_lock.write:
            mm.vma_write[page] = False
            mm.notifiers.invalidate_range_start(rng)
            with mm.page_table_lock:
                mm.wrprotect(page, self)
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
        mm.ghost.returned(page, self)


class ClearRefs(Operation):
    """Writing 4 to /proc/PID/clear_refs: soft-dirty tracking begins, by another process.

    Sequence: S(SOFT_DIRTY) over the whole mm; write-protect; E; flush. A write fault makes the page
    writable again and is how the write is noticed.
    """

    name = "clear_refs"
    function = "clear_refs_write"
    outside = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True

    def run(self) -> None:
        """Write-protect every page."""
        mm = self.mm
        rng = PageRange(0, len(mm.pages), event=Event.SOFT_DIRTY)
        with mm.mmap_lock.write:
            mm.notifiers.invalidate_range_start(rng)
            for page in mm.pages:
                with mm.page_table_lock:
                    mm.wrprotect(page, self)
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
        for page in mm.pages:
            mm.ghost.returned(page, self)
