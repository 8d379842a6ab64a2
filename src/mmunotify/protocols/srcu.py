"""Today's protocol: a list of subscribers under SRCU, registration under all locks of the mm.

Invariant: a section runs while its caller holds `mmap_lock` or `rmap_lock`; registration holds both
for writing, so it never falls inside a section.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.intrinsics import current, might_sleep, require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.spinlock import SpinLock
from mmunotify.lang.srcu import Srcu
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscriptions import Subscriptions

__all__ = ["SrcuNotifiers"]


class SrcuNotifiers(Subscriptions):
    """`struct mmu_notifier_subscriptions`.

    Readers under SRCU since Linux kernel commit 21a92735f660 (in v3.7); release before unlinking
    since 3ad3d901bbcf and d34883d4e35c (in v3.10); blockable sections since 93065ac753e4 (in
    v4.19), unwound since c2655835fd8c (in v5.12).
    """

    hooks = frozenset({"arch_invalidate_secondary_tlbs"})

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.lock = SpinLock()
        self.srcu = Srcu()

    # -- membership -----------------------------------------------------------------------------

    def register(self, driver: Driver) -> None:
        """`mmu_notifier_register`: `mm_take_all_locks` excludes every section."""
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:
            with self.mm.rmap_lock.write:
                with self.lock:
                    subscription.hashed = True  # hlist_add_head_rcu

    def unregister(self, driver: Driver) -> None:
        """`mmu_notifier_unregister`: release while still on the list, unlink, wait."""
        subscription = self.by_driver[driver]
        if subscription.hashed:  # not under the lock
            with self.srcu:
                subscription.release()
            with self.lock:
                subscription.hashed = False  # hlist_del_init_rcu: nothing if exit was faster
        self.srcu.synchronize()

    def release(self) -> None:
        """`mn_hlist_release`: release everybody while still on the list, unlink, wait."""
        with self.srcu:
            for subscription in self.subscriptions:
                if subscription.hashed:
                    subscription.release()
            with self.lock:
                self._unlink_all()
        self.srcu.synchronize()

    # -- what operations call -------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`mn_hlist_invalidate_range_start`: go on after -EAGAIN, then end what has begun."""
        if rng.blockable:
            might_sleep()
        failed = False
        self.read_lock()
        for subscription in self.subscriptions:
            if subscription.hashed:
                if not rng.blockable:
                    current().preempt_count += 1  # non_block_start
                try:
                    subscription.start(rng)
                except EAGAIN:
                    require("context", not rng.blockable, "-EAGAIN although the section may block")
                    require("paired", not subscription.has_end, "-EAGAIN from a driver with an end")
                    failed = True
                if not rng.blockable:
                    current().preempt_count -= 1  # non_block_end
        if failed:
            self._end_all(rng)
        self.read_unlock()
        if failed:
            raise EAGAIN

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`mn_hlist_invalidate_end`."""
        if rng.blockable:
            might_sleep()
        self.read_lock()
        self._end_all(rng)
        self.read_unlock()

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """`__mmu_notifier_arch_invalidate_secondary_tlbs`; the page-table lock may be held."""
        self.read_lock()
        for subscription in self.subscriptions:
            if subscription.has_tlbs and subscription.hashed:
                subscription.invalidate_tlbs(rng)
        self.read_unlock()

    def clear_flush_young(self, rng: PageRange) -> bool:
        """`__mmu_notifier_clear_flush_young`: everybody is asked."""
        young = False
        self.read_lock()
        for subscription in self.subscriptions:
            if subscription.hashed and subscription.clear_flush_young(rng):
                young = True
        self.read_unlock()
        return young

    def _end_all(self, rng: PageRange) -> None:
        for subscription in self.subscriptions:
            if subscription.hashed:
                subscription.end(rng)

    # -- the list -------------------------------------------------------------------------------

    def read_lock(self) -> None:
        """`srcu_read_lock`, where somebody could wait for it."""
        if self.changes:
            self.srcu.read_lock()

    def read_unlock(self) -> None:
        """`srcu_read_unlock`."""
        if self.changes:
            self.srcu.read_unlock()

    def _unlink_all(self) -> None:
        for subscription in self.subscriptions:
            subscription.hashed = False
