"""Shared virtual addressing: an IOMMU that walks the CPUs' page table, and caches what it finds.

Invariant: whatever the IOMMU has cached is flushed where the CPUs' TLBs are flushed, that is after
an entry changed and before its frame is freed.
"""

from __future__ import annotations

from mmunotify.lang import Driver, FaultResult, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["IommuSva"]


class IommuSva(Driver):
    """Intel SVM, AMD PASID and ARM SMMUv3 of Linux 6.6 to 6.18, one PASID.

    There is no table of its own that a range_start could drop anything from, and the hardware may
    load its TLB again at any time: the range hooks come too early and too late. Hence the hook in
    the architecture's TLB flush since Linux kernel commit 6bbd42e2df8f (in v6.6), and
    `invalidate_range` between the two since 0f0a327fa12c (in v3.19).
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.attached = True  # the PASID table entry points to the page table
        self.spte = mm.pte
        self.writable = mm.pte_write
        self.accessed = mm.pte_young

    def walk(self, page: int) -> Frame | None:
        """The hardware's walk: the CPUs' page table, as long as the PASID is attached."""
        return self.spte[page] if self.attached else None

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """`intel_arch_invalidate_secondary_tlbs`: the IOTLB and the device's own TLB."""
        self.tlb.flush_range(rng)

    def release(self) -> None:
        """`intel_mm_release`: tear the PASID entry down, before the page table goes."""
        self.attached = False
        self.tlb.flush()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`iommu_sva_handle_mm`: a page request is a page fault of the process."""
        with self.mm.mmap_lock.read:
            self.mm.hmm_range_fault(page, write)  # handle_mm_fault
        return None
