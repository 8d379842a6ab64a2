"""KVM as merged in 2008: sptes that hold references to their frames, and two bugs of its time.

Invariant: an spte is present only while no section that covers its page is open, as today. The
reference that it holds makes that a matter of coherence; what can free a frame in use is the TLB
alone, which outlives the spte until it is flushed.
"""

from __future__ import annotations

from mmunotify.lang import RETRY, Counter, Driver, Epoch, FaultResult, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Kvm2627"]


class Kvm2627(Driver):
    """KVM's MMU of Linux 2.6.27, with the notifiers of Linux kernel commit e930bffe95e1.

    Every fault asks for write. Sections come where 2.6.27 had `invalidate_page`, too, as in later
    kernels: what it did under the same lock is what range_start does here.

    Its bugs: the flush comes after `mmu_lock` is dropped, so a second section on the page finds no
    spte, does not flush, and lets the frame be freed under the first one's pending flush. And there
    is no release method (85db06e51442, "KVM: mmu_notifiers release method", repaired that): the
    references outlive the address space.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.mmu_notifier_count = Counter(high=7)
        self.mmu_notifier_seq = Epoch()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.accessed: Table[bool] = Table(mm.pages, False)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        need_tlb_flush = False
        with self.mmu_lock:
            self.mmu_notifier_count += 1
            for page in rng:
                if self.unmap_hva(page):
                    need_tlb_flush = True
        if need_tlb_flush:
            self.tlb.flush()  # kvm_flush_remote_tlbs: too late, see the class

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        with self.mmu_lock:
            self.mmu_notifier_seq.bump()
            self.mmu_notifier_count -= 1

    def clear_flush_young(self, rng: PageRange) -> bool:
        """`kvm_mmu_notifier_clear_flush_young`."""
        with self.mmu_lock:
            young = False
            for page in rng:
                if self.accessed[page]:  # kvm_age_hva
                    self.accessed[page] = False
                    young = True
        if young:
            self.tlb.flush()
        return young

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`tdp_page_fault`."""
        mmu_seq = self.mmu_notifier_seq.read()
        frame = self.mm.get_user_page(page, write)  # gfn_to_pfn
        with self.mmu_lock:
            if self.mmu_notifier_retry(mmu_seq):
                result = RETRY
            elif self.spte[page] is None:
                self.spte[page] = frame  # rmap_add: the reference goes with it
                return None
            else:
                result = None
        frame.put()  # kvm_release_pfn_clean
        return result

    def mmu_notifier_retry(self, mmu_seq: int) -> bool:
        """`mmu_notifier_retry`: a section is open, or one ended since `mmu_seq` was read."""
        return self.mmu_notifier_count > 0 or self.mmu_notifier_seq.read() != mmu_seq

    def unmap_hva(self, page: int) -> bool:
        """`kvm_unmap_hva`: drop the spte and its reference; tell whether there was one."""
        frame = self.spte[page]
        if frame is None:
            return False
        self.spte[page] = None
        self.accessed[page] = False
        frame.put()  # rmap_remove: before the flush, the page table still has a reference
        return True
