"""GRU: translations that exist in a TLB only, dropped in by software after a miss (SGI UV).

Invariant: a drop-in that any invalidation crossed since the fault was read has no effect: the
hardware sees to it, so a count of open sections is enough and no sequence is needed.
"""

from __future__ import annotations

from mmunotify.lang import AtomicT, Driver, FaultResult, PageRange, WaitQueue, atomic
from mmunotify.primary.fault_handle import TlbFaultHandle
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Gru"]


class Gru(Driver):
    """The GRU driver of Linux 2.6.29 to 6.18 (`drivers/misc/sgi-gru`), one chip, context loaded.

    Merged with Linux kernel commit ee5b8feca3af (in v2.6.29): no references to frames, no table,
    no lock round a drop-in. `ms_range_active` counts the sections of the whole mm.

    There is no release method: a context is unloaded when its VMA is closed, and `exit_mmap` closes
    VMAs after it has freed the frames. The model's device may go on until then, so it fails the
    scenarios with `exit`. Whether a GRU can, by an instruction that was under way when the process
    died, is not known to us.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.tfh = TlbFaultHandle()
        self.ms_range_active = AtomicT()
        self.ms_wait_queue = WaitQueue()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`gru_invalidate_range_start`."""
        self.ms_range_active.inc()
        self.tlb.flush_range(rng)  # gru_flush_tlb_range

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`gru_invalidate_range_end`."""
        self.ms_range_active.dec()
        self.ms_wait_queue.wake_up_all()

    def unregister(self) -> None:
        """`gru_vma_close`: unload the context, then `mmu_notifier_put`."""
        self.tlb.flush()  # gru_unload_context
        super().unregister()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`gru_user_dropin`: wait for the sections to end, then try."""
        since = self.ms_wait_queue.prepare()
        while self.ms_range_active.read() != 0:
            self.ms_wait_queue.sleep(since)
            since = self.ms_wait_queue.prepare()
        self.try_dropin(page, write)
        return None  # if that did not work, the GRU faults again

    def try_dropin(self, page: int, write: bool) -> None:
        """`gru_try_dropin`: read the fault, test for sections, translate, drop in: in order."""
        exception = self.tfh.read()
        if self.ms_range_active.read() == 0:
            frame = self.vtop(page, write)
            self.tlb.drop_in(exception, page, frame, write)  # tfh_write_restart

    def vtop(self, page: int, write: bool) -> Frame:
        """`gru_vtop`: the frame, without a reference by the time it is used."""
        frame = self.atomic_pte_lookup(page, write)
        if frame is None:
            frame = self.mm.get_user_page(page, write)  # non_atomic_pte_lookup
            frame.put()
        return frame

    def atomic_pte_lookup(self, page: int, write: bool) -> Frame | None:
        """`atomic_pte_lookup`: a walk of the page table without any lock.

        A write needs a dirty entry; the model has no dirty bits, so writes go the other way.
        """
        with atomic():
            return None if write else self.mm.pte[page]
