"""KVM with memory slots: what the guest has as memory changes while invalidations run.

Invariant: a section finds the same slots at its end as at its start, so that `mmu_lock` counts as
many ends as starts: new slots are published only while no section is open.
"""

from __future__ import annotations

from enum import Enum

from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import (
    RETRY,
    Counter,
    FaultResult,
    PageRange,
    SpinLock,
    Srcu,
    WaitQueue,
    thread,
    wait_until,
)
from mmunotify.primary.mm import Mm

__all__ = ["KvmMemslots", "Slot"]


class Slot(Enum):
    """The one slot, over all pages."""

    NONE = "none"
    VALID = "valid"
    INVALID = "invalid"  # KVM_MEMSLOT_INVALID: about to be deleted, still walked by sections


class KvmMemslots(Kvm):
    """KVM of Linux 6.12 to 6.18, whose user deletes the memory slot and makes a new one.

    The waiting for sections came with 52ac8b358b0c; before it, an rwsem was tried that was held
    from start to end. Nothing is fair about it: sections that overlap without end starve whoever
    changes slots.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.slot = Slot.VALID
        self.srcu = Srcu()  # kvm->srcu, over the slots
        self.mn_invalidate_lock = SpinLock()
        self.mn_active_invalidate_count = Counter(high=7)
        self.mn_memslots_update_rcuwait = WaitQueue()
        self.updated = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`: without a slot `mmu_lock` is not taken."""
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count += 1
        with self.srcu:
            if self.slot is not Slot.NONE:  # kvm_handle_hva_range
                super().invalidate_range_start(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        with self.srcu:
            if self.slot is not Slot.NONE:
                super().invalidate_range_end(rng)
        with self.mn_invalidate_lock:
            self.mn_active_invalidate_count -= 1
            wake = self.mn_active_invalidate_count == 0
        if wake:
            self.mn_memslots_update_rcuwait.wake_up_all()

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`kvm_tdp_page_fault`: a virtual CPU reads the slots under `kvm->srcu` all the while."""
        with self.srcu:
            if self.slot is not Slot.VALID:
                return RETRY  # an access to a device, or to a slot that goes away
            return super().fault(page, write)

    @thread
    def set_memory_region(self) -> None:
        """`KVM_SET_USER_MEMORY_REGION` twice: delete the slot, make a new one."""
        if self.mm.mmget_not_zero():
            self.swap_active_memslots(Slot.INVALID)  # kvm_invalidate_memslot
            self.flush_shadow_memslot()
            self.swap_active_memslots(Slot.NONE)
            self.swap_active_memslots(Slot.VALID)
            self.mm.mmput()
        self.updated = True

    def swap_active_memslots(self, slot: Slot) -> None:
        """`kvm_swap_active_memslots`: wait for the sections, publish, wait for the readers."""
        self.mn_invalidate_lock.acquire()
        since = self.mn_memslots_update_rcuwait.prepare()
        while self.mn_active_invalidate_count > 0:
            self.mn_invalidate_lock.release()
            self.mn_memslots_update_rcuwait.sleep(since)
            self.mn_invalidate_lock.acquire()
            since = self.mn_memslots_update_rcuwait.prepare()
        self.slot = slot
        self.mn_invalidate_lock.release()
        self.srcu.synchronize()

    def flush_shadow_memslot(self) -> None:
        """`kvm_arch_flush_shadow_memslot`: no virtual CPU makes sptes for the slot any more."""
        with self.mmu_lock:
            for page in self.mm.pages:
                self.set_spte(page, None, False)
            self.tlb.flush()

    def unregister(self) -> None:
        """`kvm_destroy_vm`: nobody has the virtual machine open, so nobody changes slots."""
        wait_until(lambda: self.updated)
        super().unregister()
