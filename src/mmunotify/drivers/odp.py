"""RDMA on-demand paging as it is: an interval notifier for each memory region.

Invariant: an entry of the HCA's table is written under `umem_mutex`, from a lookup that no
invalidation of the region has crossed. No lock is held from the start of a section to its end.
"""

from __future__ import annotations

from mmunotify.lang import (
    Driver,
    FaultResult,
    MmuIntervalNotifier,
    Mutex,
    PageRange,
    Table,
    atomic,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Odp"]


class Odp(Driver):
    """`ib_umem_odp` and mlx5 of Linux 5.10 to 6.18, one region over all pages.

    A section that must not sleep is refused, which an interval notifier may. Nothing under
    `umem_mutex` may allocate: reclaim would invalidate, and wait for it.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.notifier = MmuIntervalNotifier(self)
        self.umem_mutex = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)  # MTTs
        self.writable: Table[bool] = Table(mm.pages, False)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`mlx5_ib_invalidate_range`."""
        if not rng.blockable:
            return False
        with self.umem_mutex:
            mmu_interval_set_seq(sub, cur_seq)
            self.unmap(rng)
        return True

    def unregister(self) -> None:
        """`ib_umem_odp_release`: unmap, then leave."""
        with self.umem_mutex:
            self.unmap(self.mm.whole_range())
        super().unregister()  # mmu_interval_notifier_remove

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`ib_umem_odp_map_dma_and_lock`, `mlx5_ib_update_xlt`."""
        while True:
            current_seq = mmu_interval_read_begin(self.notifier)
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)  # without a reference
            with self.umem_mutex:
                if not mmu_interval_read_retry(self.notifier, current_seq):
                    self.set_mtt(page, frame, write)
                    return None

    def unmap(self, rng: PageRange) -> None:
        """`mlx5r_umr_update_xlt` to zap entries: sleeps until the HCA has forgotten them."""
        for page in rng:
            self.set_mtt(page, None, False)
        self.tlb.flush_range(rng)

    def set_mtt(self, page: int, frame: Frame | None, write: bool) -> None:
        """Write an entry, which is one word to the HCA."""
        with atomic():
            self.spte[page] = frame
            self.writable[page] = write
