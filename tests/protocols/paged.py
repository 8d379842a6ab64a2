"""KVM as of 2.6.27, as far as single pages go: `invalidate_page` instead of a section."""

from __future__ import annotations

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang.page_range import PageRange

__all__ = ["PagedKvm"]


class PagedKvm(Kvm):
    """Drops one translation after the page is gone from the page table; counts nothing."""

    def invalidate_page(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_page`."""
        with self.mmu_lock:
            self.mmu_invalidate_seq.bump()
            if self.unmap_gfn_range(rng):
                self.tlb.flush()
