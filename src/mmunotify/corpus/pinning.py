"""`PinningKvm`: KVM as it was until 2.6.31, whose sptes hold references to their frames.

Invariant: it is right as far as it goes; it has no release method, as that of 2.6.27 had none.
"""

from __future__ import annotations

from mmunotify.lang import Counter, Driver, Epoch, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["PinningKvm"]


class PinningKvm(Driver):
    """A shadow page table under one lock; what `rmap_remove` drops it has flushed before."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.mmu_notifier_count = Counter(high=7)
        self.mmu_notifier_seq = Epoch()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        with self.mmu_lock:
            self.mmu_notifier_count += 1
            for page in rng:
                self.rmap_remove(page)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        with self.mmu_lock:
            self.mmu_notifier_seq.bump()
            self.mmu_notifier_count -= 1

    def rmap_remove(self, page: int) -> None:
        """Drop an spte and the reference that it holds."""
        frame = self.spte[page]
        if frame is not None:
            self.spte[page] = None
            self.tlb.flush()
            frame.put()

    def fault(self, page: int, write: bool) -> None:
        """`tdp_page_fault`."""
        seq = self.mmu_notifier_seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.mmu_lock:
            stale = self.mmu_notifier_count > 0 or self.mmu_notifier_seq.read() != seq
            if not stale and self.spte[page] is None:
                self.spte[page] = frame  # the reference goes with it
                return
        frame.put()
