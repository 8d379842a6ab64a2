"""KVM's gfn-to-pfn cache: a page of the guest that the kernel itself keeps mapped.

Invariant: the cache is valid only while no section that began after its lookup has invalidated it;
whoever uses the mapping holds the cache's lock for reading, so that a section waits for it.
"""

from __future__ import annotations

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import (
    EMULATED,
    RETRY,
    Counter,
    FaultResult,
    Mutex,
    PageRange,
    RwLock,
    SpinLock,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["KvmPfncache"]


class KvmPfncache(Kvm):
    """`gfn_to_pfn_cache` of Linux 6.12 to 6.18, for the first page, beside the page table.

    The kernel writes there what the guest is to find: steal time, or an event of a Xen guest. A
    section visits the cache before it takes `mmu_lock`, so a refresh has to look at the count of
    all sections, `mn_active_invalidate_count`; `mmu_invalidate_in_progress` is counted up too late
    (58cd407ca4c6, "KVM: Fix multiple races in gfn=>pfn cache refresh").
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mn_invalidate_lock = SpinLock()
        self.mn_active_invalidate_count = Counter(high=7)
        self.gfn = mm.pages[0]
        self.refresh_lock = Mutex()
        self.gpc_lock = RwLock()
        self.valid = False
        self.khva: Frame | None = None

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count += 1
        if self.gfn in rng:  # gfn_to_pfn_cache_invalidate_start
            with self.gpc_lock.write:
                self.valid = False
        super().invalidate_range_start(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        super().invalidate_range_end(rng)
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count -= 1

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """The guest's own page fault; at the cache's page an access by KVM."""
        if page != self.gfn:
            return super().fault(page, write)
        if self.use():
            return EMULATED
        self.refresh()
        return RETRY

    def use(self) -> bool:
        """`kvm_gpc_check`, and the write; tell whether the cache was valid."""
        with self.gpc_lock.read:
            khva = self.khva
            valid = self.valid and khva is not None
            if valid and khva is not None:
                self.mm.kernel_access(khva, self.gfn, True)
        return valid

    def refresh(self) -> None:
        """`__kvm_gpc_refresh`, `hva_to_pfn_retry`."""
        with self.refresh_lock:
            with self.gpc_lock.write:
                self.valid = False
            while not self.hva_to_pfn_retry():
                pass

    def hva_to_pfn_retry(self) -> bool:
        """Look the frame up without the lock; tell whether that was still the truth under it."""
        mmu_seq = self.mmu_invalidate_seq.read()
        frame = self.mm.get_user_page(self.gfn, True)
        with self.gpc_lock.write:
            retry = self.mmu_notifier_retry_cache(mmu_seq)
            if not retry:
                self.khva = frame
                self.valid = True
        frame.put()  # kvm_release_page_clean: the cache holds no reference
        return not retry

    def mmu_notifier_retry_cache(self, mmu_seq: int) -> bool:
        """`mmu_notifier_retry_cache`: the count first, then the sequence."""
        return self.mn_active_invalidate_count > 0 or self.mmu_invalidate_seq.read() != mmu_seq
