"""RDMA on-demand paging as it was: an rwsem that is read-held from range_start to range_end.

Invariant: a memory region joins or leaves the tree of regions only while no section is open, so
that the end of each section counts down what its start counted up.
"""

from __future__ import annotations

from mmunotify.lang import (
    EAGAIN,
    RETRY,
    Counter,
    Driver,
    Epoch,
    FaultResult,
    Mutex,
    PageRange,
    RwSem,
    Srcu,
    Table,
    maybe,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["OdpRwsem"]


class OdpRwsem(Driver):
    """`ib_umem_odp` of Linux 5.3, much as it was from 3.19 to 5.4; one region over all pages.

    Faults are not held off by the rwsem but by a counter and a sequence of the region. The region
    is registered by its first fault, and deregistered once on the way.

    What is wrong with it: a section that is open at exit never ends for it, since it is off the
    list by then, and the rwsem stays held. And, today, a section that must not sleep is refused
    with -EAGAIN, although there is a range_end. Linux kernel commit c2655835fd8c (in v5.12) forbids
    that; until then the caller did not call the end, and the rwsem had to be given back on the way
    (7608bf40cf24, "RDMA/odp: Fix missed unlock in non-blocking invalidate_start").
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.umem_rwsem = RwSem()  # of the per_mm, over the tree
        self.active = True  # the per_mm
        self.in_tree = False  # the region
        self.live = False  # the region's key
        self.gone = False  # it was deregistered once; that is enough
        self.mr_srcu = Srcu()  # the faults of the region
        self.uobject = Mutex()  # whoever registers and deregisters it
        self.umem_mutex = Mutex()  # of the region
        self.notifiers_count = Counter(high=7)
        self.notifiers_seq = Epoch()
        self.spte: Table[Frame | None] = Table(mm.pages)  # the translation table of the HCA

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`ib_umem_notifier_invalidate_range_start`."""
        if rng.blockable:
            self.umem_rwsem.down_read()
        elif not self.umem_rwsem.down_read_trylock():
            raise EAGAIN
        if not self.active:
            self.umem_rwsem.up_read()
        elif self.in_tree:
            if not rng.blockable:
                self.umem_rwsem.up_read()
                raise EAGAIN
            with self.umem_mutex:  # ib_umem_notifier_start_account
                self.notifiers_count += 1
            self.invalidate_range(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`ib_umem_notifier_invalidate_range_end`."""
        if self.active:
            if self.in_tree:
                with self.umem_mutex:  # ib_umem_notifier_end_account
                    self.notifiers_seq.bump()
                    self.notifiers_count -= 1
            self.umem_rwsem.up_read()

    def release(self) -> None:
        """`ib_umem_notifier_release`: no fault succeeds any more, nothing is mapped."""
        with self.umem_rwsem.read:
            if self.active and self.in_tree:
                with self.umem_mutex:
                    self.notifiers_count += 1  # never counted down
                self.invalidate_range(self.mm.whole_range())

    def unregister(self) -> None:
        """`put_per_mm`: wait for the sections that are open, and let none find us."""
        with self.uobject:
            if self.live:
                self.dereg_mr()
        with self.umem_rwsem.write:
            self.active = False
        super().unregister()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """A page fault of the HCA; regions come and go meanwhile."""
        if not self.live or (not self.gone and maybe()):
            with self.uobject:
                if not self.live:
                    self.reg_mr()
                elif not self.gone:
                    self.dereg_mr()
        with self.mr_srcu:
            return self.pagefault_mr(page, write) if self.live else RETRY

    def pagefault_mr(self, page: int, write: bool) -> FaultResult | None:
        """`pagefault_mr`."""
        current_seq = self.notifiers_seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.umem_mutex:
            retry = self.mmu_notifier_retry(current_seq)
            if not retry:
                self.spte[page] = frame  # ib_umem_odp_map_dma_single_page, mlx5_ib_update_xlt
        frame.put()  # on-demand paging: no pin
        return RETRY if retry else None  # the kernel waits for notifier_completion, with a timeout

    def mmu_notifier_retry(self, current_seq: int) -> bool:
        """`ib_umem_mmu_notifier_retry`; `umem_mutex` is held."""
        return self.notifiers_count > 0 or self.notifiers_seq.read() != current_seq

    def invalidate_range(self, rng: PageRange) -> None:
        """`mlx5_ib_invalidate_range`."""
        with self.umem_mutex:
            self.unmap(rng)

    def unmap(self, rng: PageRange) -> None:
        """Take translations from the HCA and wait until it has forgotten them."""
        for page in rng:
            self.spte[page] = None
        self.tlb.flush_range(rng)

    def reg_mr(self) -> None:
        """`add_umem_to_per_mm`: the region joins the tree, with no section open."""
        with self.umem_rwsem.write:
            self.in_tree = True
        self.live = True

    def dereg_mr(self) -> None:
        """`dereg_mr`, `ib_umem_odp_release`: no fault is under way, nothing is mapped, leave."""
        self.live = False
        self.gone = True
        self.mr_srcu.synchronize()
        self.invalidate_range(self.mm.whole_range())
        with self.umem_rwsem.write:
            self.in_tree = False
