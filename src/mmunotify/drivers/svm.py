"""Shared virtual memory of a GPU: ranges that come with faults, under one interval notifier.

Invariant: pages of a range are valid, and mapped by the GPU, only under `notifier_lock`, from a
lookup that no invalidation has crossed; the callback holds it for writing.
"""

from __future__ import annotations

from mmunotify.lang import (
    EFAULT,
    RETRY,
    Driver,
    Event,
    FaultResult,
    MmuIntervalNotifier,
    Mutex,
    PageRange,
    RwSem,
    Table,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Svm"]


class Svm(Driver):
    """`drm_gpusvm` with xe of Linux 6.15 to 6.18, a range for each page, no migration to the GPU.

    The notifier is inserted by the first fault, which may be in the middle of a section: it is born
    colliding, and the fault waits. Looking pages up and binding them are two steps, each under the
    lock; in between they may become invalid again.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.notifier = MmuIntervalNotifier(self, by_hand=True)
        self.inserted = False
        self.vm_lock = Mutex()
        self.notifier_lock = RwSem()
        self.dma_addr: Table[Frame | None] = Table(mm.pages)  # valid pages of the ranges
        self.unmapped: Table[bool] = Table(mm.pages, False)  # ranges whose VMA went away
        self.spte: Table[Frame | None] = Table(mm.pages)  # the GPU's page table

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`drm_gpusvm_notifier_invalidate`, `xe_svm_invalidate`."""
        if not rng.blockable:
            return False
        with self.notifier_lock.write:
            mmu_interval_set_seq(sub, cur_seq)
            for page in rng:
                self.spte[page] = None  # xe_pt_zap_ptes_range
            self.tlb.flush_range(rng)  # and wait for it, once for all ranges
            for page in rng:
                self.dma_addr[page] = None  # drm_gpusvm_range_unmap_pages
                if rng.event is Event.UNMAP:
                    self.unmapped[page] = True  # xe_svm_garbage_collector_add_range
        return True

    def unregister(self) -> None:
        """`drm_gpusvm_fini`: the ranges go, then the notifier."""
        with self.vm_lock:
            with self.notifier_lock.write:
                self.spte.fill(None)
                self.tlb.flush()
                self.dma_addr.fill(None)
            if self.inserted:
                mmu_interval_notifier_remove(self.notifier)
        super().unregister()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`xe_svm_handle_pagefault`."""
        with self.vm_lock:
            self.garbage_collector(page)
            if not self.inserted:  # drm_gpusvm_range_find_or_insert
                mmu_interval_notifier_insert(self.notifier)
                self.inserted = True
            self.get_pages(page, write)
            return None if self.bind(page) else RETRY

    def garbage_collector(self, page: int) -> None:
        """`xe_svm_garbage_collector`: a range whose VMA went away is forgotten."""
        if self.unmapped[page]:
            with self.notifier_lock.write:
                self.unmapped[page] = False

    def get_pages(self, page: int, write: bool) -> None:
        """`drm_gpusvm_range_get_pages`."""
        while True:
            seq = mmu_interval_read_begin(self.notifier)
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)
            with self.notifier_lock.read:
                if self.unmapped[page]:
                    raise EFAULT
                if not mmu_interval_read_retry(self.notifier, seq):
                    self.dma_addr[page] = frame
                    return

    def bind(self, page: int) -> bool:
        """`xe_vm_range_rebind`, `xe_pt_svm_pre_commit`: tell whether the pages were still valid."""
        with self.notifier_lock.read:
            valid = self.dma_addr[page] is not None
            if valid:
                self.spte[page] = self.dma_addr[page]
        return valid
