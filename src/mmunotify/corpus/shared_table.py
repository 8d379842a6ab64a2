"""`SharesTable`: a device that walks the CPU's page table, for bugs about flushing both TLBs.

Invariant: it is right as long as the mm flushes it with the CPUs; it keeps no table of its own.
"""

from __future__ import annotations

from mmunotify.lang import Driver, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["SharesTable"]


class SharesTable(Driver):
    """An IOMMU that is bound to the process (shared virtual addressing)."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.attached = True
        self.writable = mm.pte_write

    def walk(self, page: int) -> Frame | None:
        """What the IOMMU's walk of the process's page table finds."""
        frame: Frame | None = self.mm.pte[page] if self.attached else None
        return frame

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """Flush the IOTLB with the CPUs' TLBs."""
        self.tlb.flush_range(rng)

    def release(self) -> None:
        """Detach the process before its page table goes."""
        self.attached = False
        self.tlb.flush()

    def fault(self, page: int, write: bool) -> None:
        """A page request: `handle_mm_fault`."""
        self.mm.get_user_page(page, write).put()
