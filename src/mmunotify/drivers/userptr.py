"""A GPU that works on a process's memory in jobs: an invalidation waits until the job is done.

Invariant: a job is submitted under `notifier_lock` only if no invalidation has crossed the lookup
of its pages; once `invalidate` has the lock, none begins, and when the fence is signaled the GPU
accesses nothing. Its page table may go on naming frames that are long gone.
"""

from __future__ import annotations

from mmunotify.lang import (
    RETRY,
    DmaFence,
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
    thread,
    wait_until,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Userptr"]


class Userptr(Driver):
    """Userptr buffers of amdgpu (gfx) of Linux 5.10 to 6.18, one buffer over all pages.

    The GPU's threads are the devices; a miss is where a process would submit the next job. A job
    has pages of its own: each is looked up again for the first one after an idle time.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.notifier = MmuIntervalNotifier(self)
        self.notifier_lock = Mutex()
        self.fence = DmaFence()
        self.gpu_pte: Table[Frame | None] = Table(mm.pages)

    def walk(self, page: int) -> Frame | None:
        """The GPU walks its page table only while a job runs."""
        return None if self.fence.signaled else self.gpu_pte[page]

    @thread(daemon=True)
    def engine(self) -> None:
        """The GPU: each job is done some time; the next one begins with a flush."""
        while True:
            with atomic():
                wait_until(lambda: self.fence.awaited)
                self.tlb.flush()
                self.fence.signal()

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`amdgpu_hmm_invalidate_gfx`: nothing is unmapped."""
        if not rng.blockable:
            return False
        with self.notifier_lock:
            mmu_interval_set_seq(sub, cur_seq)
            self.fence.wait()  # dma_resv_wait_timeout
        return True

    def unregister(self) -> None:
        """`amdgpu_hmm_unregister`."""
        self.fence.wait()
        super().unregister()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`amdgpu_cs_ioctl`: RETRY is its -EAGAIN to user space."""
        seq = mmu_interval_read_begin(self.notifier)  # amdgpu_hmm_range_get_pages
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        with self.notifier_lock:  # amdgpu_cs_submit
            if mmu_interval_read_retry(self.notifier, seq):
                return RETRY
            with atomic():
                if self.fence.signaled:
                    self.gpu_pte.fill(None)
                self.gpu_pte[page] = frame
                self.fence.begin()
        return None
