"""KVM without its retry check: a fault that began before an invalidation ends after it.

mmunotify check examples/kvm_without_retry.py
"""

from __future__ import annotations

from mmunotify.lang import (
    Counter,
    Driver,
    Epoch,
    PageRange,
    SpinLock,
    Table,
    atomic,
)
from mmunotify.primary import Frame, Mm


class KvmWithoutRetry(Driver):
    """`mmunotify.drivers.kvm` written out again, one check left out in `fault`."""

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

    def fault(self, page: int, write: bool) -> None:
        """`kvm_tdp_page_fault`."""
        frame = self.mm.get_user_page(page, write)  # kvm_faultin_pfn
        with self.mmu_lock:
            # Missing: if a section is open, or ended since the fault began, frame is stale: RETRY.
            if not self.access_allowed(page, write):
                self.set_spte(page, frame, write)
        frame.put()  # kvm_release_faultin_page: sptes hold no references

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
