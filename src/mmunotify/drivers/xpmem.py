"""XPMEM: a process that maps another one's memory, by an ordinary page table with pinned frames.

Invariant: each entry of the attacher's page table holds a reference to its frame, which is given
back after the attacher's TLBs are flushed. That makes it safe, not coherent.
"""

from __future__ import annotations

from mmunotify.lang import Driver, FaultResult, Mutex, PageRange, RwSem, Table, current, maybe
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Xpmem"]


class Xpmem(Driver):
    """XPMEM of 2008 (its patches were the reason for callbacks that sleep), one attachment.

    `self.mm` is the owner's; `spte` is the attacher's page table and `tlb` the TLB of its CPUs.
    Out of the tree to this day (openucx/xpmem, whose hook takes another mutex in place of the two
    locks). There is a range_end only: by then the owner's page table has changed, the frames that
    are attached are kept by their references, and the attachment goes. A section that is not of
    the owner's own threads is ignored. Nothing holds faults off.

    So an attacher may go on with the old frame of a page (`no_stale_bytes`), and write where the
    owner has taken write permission away (`no_write_after_protect`): between a change and its
    range_end, and, if kswapd or another process made it or a fault was under way, for ever.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmap_lock = RwSem()  # of the attacher's mm
        self.mutex = Mutex()  # of the attachment
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`xpmem_invalidate_range`: sleeps for locks of another mm."""
        if current().mm is self.mm:
            with self.mmap_lock.read:
                self.clear_ptes(rng)

    def release(self) -> None:
        """`xpmem_mmu_release`, `xpmem_detach_att`."""
        self.detach()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """A page fault of the attacher, which now and then detaches and attaches again."""
        if maybe():
            self.detach()
        self.mmap_lock.down_read()
        try:
            self.fault_handler(page)
        finally:
            self.mmap_lock.up_read()
        return None

    def fault_handler(self, page: int) -> None:
        """`xpmem_fault_handler`: the attacher's `mmap_lock` is held.

        Whoever holds the owner's may wait for the attacher's, in a range_end. So it is not waited
        for, but with the attacher's given back.
        """
        if not self.mm.mmap_lock.down_read_trylock():
            self.mmap_lock.up_read()
            self.mm.mmap_lock.down_read()
            self.mmap_lock.down_read()
        try:
            with self.mutex:
                self.map(page, self.mm.get_user_pages_remote(page, True))  # xpmem_pin_page
        finally:
            self.mm.mmap_lock.up_read()

    def map(self, page: int, frame: Frame) -> None:
        """`remap_pfn_range`, unless another thread of the attacher was faster."""
        if self.spte[page] is None:
            self.spte[page] = frame  # the reference goes with it
        else:
            frame.put()

    def detach(self) -> None:
        """`xpmem_detach`."""
        with self.mmap_lock.write:
            self.clear_ptes(self.mm.whole_range())

    def clear_ptes(self, rng: PageRange) -> None:
        """`xpmem_clear_PTEs_of_att`, `xpmem_unpin_pages`; the attacher's `mmap_lock` is held."""
        with self.mutex:
            for page in rng:
                frame = self.spte[page]
                if frame is not None:
                    self.spte[page] = None
                    self.tlb.flush()
                    frame.put()
