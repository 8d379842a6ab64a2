"""KVM: the shadow page table of a virtual machine under one lock, retried by counter and sequence.

Invariant: an spte is present for a page only while no section that covers the page is between its
range_start (returned) and its range_end (begun).
"""

from __future__ import annotations

from mmunotify.lang import (
    RETRY,
    Counter,
    Driver,
    Epoch,
    FaultResult,
    PageRange,
    SpinLock,
    Table,
    atomic,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Kvm"]


class Kvm(Driver):
    """KVM's MMU as of Linux 6.12 to 6.18, one memory slot over all pages."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.mmu_invalidate_in_progress = Counter(high=7)
        self.mmu_invalidate_seq = Epoch()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.writable: Table[bool] = Table(mm.pages, False)
        self.accessed: Table[bool] = Table(mm.pages, False)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        with self.mmu_lock:
            self.mmu_invalidate_in_progress += 1  # kvm_mmu_invalidate_begin
            if self.unmap_gfn_range(rng):
                self.tlb.flush()  # kvm_flush_remote_tlbs, before mmu_lock is dropped

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        with self.mmu_lock:
            self.mmu_invalidate_seq.bump()
            self.mmu_invalidate_in_progress -= 1

    def clear_flush_young(self, rng: PageRange) -> bool:
        """`kvm_mmu_notifier_clear_flush_young`: lockless, and without a flush on x86."""
        return self.age_gfn_range(rng)

    def clear_young(self, rng: PageRange) -> bool:
        """`kvm_mmu_notifier_clear_young`."""
        return self.age_gfn_range(rng)

    def test_young(self, rng: PageRange) -> bool:
        """`kvm_mmu_notifier_test_young`."""
        return any(self.accessed[page] for page in rng)

    def release(self) -> None:
        """`kvm_mmu_notifier_release`: `kvm_flush_shadow_all`."""
        with self.mmu_lock:
            for page in self.mm.pages:
                self.set_spte(page, None, False)
            self.tlb.flush()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`kvm_tdp_page_fault`."""
        mmu_seq = self.mmu_invalidate_seq.read()
        frame = self.mm.get_user_page(page, write)  # kvm_faultin_pfn
        with self.mmu_lock:
            stale = self.mmu_invalidate_retry(mmu_seq)  # is_page_fault_stale
            if not stale and not self.access_allowed(page, write):
                self.set_spte(page, frame, write)
        frame.put()  # kvm_release_faultin_page: sptes hold no references
        return RETRY if stale else None

    def mmu_invalidate_retry(self, mmu_seq: int) -> bool:
        """Tell whether a section is open or ended since `mmu_seq` was read; mmu_lock is held."""
        return self.mmu_invalidate_in_progress > 0 or self.mmu_invalidate_seq.read() != mmu_seq

    def access_allowed(self, page: int, write: bool) -> bool:
        """`is_access_allowed`: another virtual CPU was faster, the fault is spurious."""
        return self.spte[page] is not None and (not write or self.writable[page])

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """`kvm_unmap_gfn_range`: drop the sptes; tell whether there was one."""
        flush = False
        for page in rng:
            if self.spte[page] is not None:
                self.set_spte(page, None, False)
                flush = True
        return flush

    def age_gfn_range(self, rng: PageRange) -> bool:
        """`kvm_age_gfn`: test and clear the accessed bits."""
        young = False
        for page in rng:
            if self.accessed[page]:
                self.accessed[page] = False
                young = True
        return young

    def set_spte(self, page: int, frame: Frame | None, write: bool) -> None:
        """Write an spte, which is one word to the hardware that walks it."""
        with atomic():
            self.spte[page] = frame
            self.writable[page] = write
            self.accessed[page] = frame is not None
