"""`Driver`: the base of every secondary MMU a user writes.

Hook names are the kernel's (`struct mmu_notifier_ops`). A driver overrides what it needs; hooks
it leaves alone are not called.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from mmunotify.lang.interval_notifier import MmuIntervalNotifier
from mmunotify.lang.intrinsics import Failure
from mmunotify.lang.page_range import PageRange

__all__ = ["EAGAIN", "EFAULT", "EMULATED", "ENOMEM", "RETRY", "Driver", "FaultResult"]


class EFAULT(Failure):
    """The page cannot be had: nothing is mapped there, or not for writing."""


class EAGAIN(Failure):
    """A non-blockable section met a hook that would have to sleep."""


class ENOMEM(Failure):
    """No frame is free."""


class FaultResult(Enum):
    """What `fault` may return beside None (done)."""

    RETRY = "RETRY"
    EMULATED = "EMULATED"  # the driver has done the access itself (RET_PF_EMULATE)


RETRY = FaultResult.RETRY
EMULATED = FaultResult.EMULATED


class Driver:
    """A secondary MMU of the process `mm`.

    `tlb` is its translation cache, one a device (`primary.secondary_tlb`). By default the device
    walks `self.spte[page]`, a `Table` from page to frame or None; a driver with a `writable` table
    beside it has read-only translations too, without one every fault asks for write. An `accessed`
    table is set by the hardware.

    A method decorated with `always`, `never` or `reachable` is a property of the driver; a method
    `quiescent` returns whether it is at rest, asked when all threads are done.
    """

    tlb: Any

    def __init__(self, mm: Any) -> None:
        self.name = type(self).__name__.lower()
        self.mm = mm
        self.unregistered = False  # and its memory is gone (a ghost)
        self.interval_notifiers: tuple[MmuIntervalNotifier, ...] = ()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop every translation in `rng` and admit no new one until the end of the section."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        """The primary MMU has changed; translations in `rng` may be made again."""

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Drop every translation in `rng` that `sub` covers, before the primary MMU changes it.

        `mmu_interval_set_seq(sub, cur_seq)` comes first, under the driver's own lock, whatever the
        range. Return True; False, having done nothing, only if `rng` is not blockable and the hook
        would have to sleep. For drivers with a `MmuIntervalNotifier`.
        """
        return True

    def invalidate_page(self, rng: PageRange) -> None:
        """One page was cleared from the page table and the CPUs' TLBs; its frame is still there.

        Drop its translation. Under protocols of Linux before 4.14, called with the page-table lock
        held in place of a section by what works on single pages. A driver without it gets a section
        there, too.
        """

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """The CPUs flush `rng` from their TLBs; flush it from the secondary ones too.

        Called with the page-table lock held: no sleeping. For hardware that walks the CPU's page
        table; a driver has this hook or the range hooks, not both.
        """

    def clear_flush_young(self, rng: PageRange) -> bool:
        """Tell whether a page in `rng` was used since the last call; clear and flush that."""
        return False

    def clear_young(self, rng: PageRange) -> bool:
        """As `clear_flush_young`, without a flush."""
        return False

    def test_young(self, rng: PageRange) -> bool:
        """Tell whether a page in `rng` was used since the last clear."""
        return False

    def release(self) -> None:
        """The address space goes away: drop every translation, admit no new one."""

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Make a translation for `page`; return RETRY to have the device try again."""
        raise EFAULT

    def register(self) -> None:
        """Subscribe; the devices do nothing before."""
        self.mm.notifiers.register(self)

    def unregister(self) -> None:
        """Unsubscribe; the devices have stopped."""
        self.mm.notifiers.unregister(self)

    def walk(self, page: int) -> Any:
        """What the device's table walk finds for `page`: a frame or None. Part of one step."""
        return self.spte[page]  # type: ignore[attr-defined]
