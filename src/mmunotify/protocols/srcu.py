"""Today's protocol: a list of subscribers under SRCU, registration under all locks of the mm.

Invariant: a section runs while its caller holds `mmap_lock` or `rmap_lock`; registration holds both
for writing, so it never falls inside a section.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.intrinsics import current, might_sleep, require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.srcu import Srcu
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Subscriptions

__all__ = ["SrcuNotifiers"]


class SrcuNotifiers(Subscriptions):
    """`struct mmu_notifier_subscriptions`.

    Readers under SRCU since Linux kernel commit 21a92735f660 (in v3.7); release before unlinking
    since 3ad3d901bbcf and d34883d4e35c (in v3.10); blockable sections since 93065ac753e4 (in
    v4.19), unwound since c2655835fd8c (in v5.12); the CPUs' flushes since 6bbd42e2df8f (in v6.6).
    """

    unwinds = True  # a section that is refused
    hooks = frozenset({"arch_invalidate_secondary_tlbs"})

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.srcu = Srcu()

    # -- what operations call -------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`mn_hlist_invalidate_range_start`: go on after -EAGAIN, then end what has begun."""
        if rng.blockable:
            might_sleep()
        self.read_lock()
        failed = self.each(lambda subscription: self.refuses(subscription, rng))
        if failed and self.unwinds:
            self.each(lambda subscription: subscription.end(rng))  # who refused, too
        self.read_unlock()
        if failed:
            raise EAGAIN

    def refuses(self, subscription: Subscription, rng: PageRange) -> bool:
        """Tell a subscriber that a section begins, and whether it would have to sleep."""
        refused = False
        if not rng.blockable:
            current().preempt_count += 1  # non_block_start
        try:
            subscription.start(rng)
        except EAGAIN:
            require("context", not rng.blockable, "-EAGAIN although the section may block")
            if self.unwinds:
                require("paired", not subscription.has_end, "-EAGAIN from a driver with an end")
            refused = True
        if not rng.blockable:
            current().preempt_count -= 1  # non_block_end
        return refused

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`mn_hlist_invalidate_end`."""
        if rng.blockable:
            might_sleep()
        else:
            current().preempt_count += 1  # non_block_start
        super().invalidate_range_end(rng)
        if not rng.blockable:
            current().preempt_count -= 1  # non_block_end

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """`__mmu_notifier_arch_invalidate_secondary_tlbs`; the page-table lock may be held."""
        self.read_lock()
        for subscription in self.subscriptions:
            if subscription.has_tlbs and subscription.hashed:
                subscription.invalidate_tlbs(rng)
        self.read_unlock()

    # -- a walk over the list -------------------------------------------------------------------

    def read_lock(self) -> None:
        """`srcu_read_lock`, where somebody could wait for it."""
        if self.changes:
            self.srcu.read_lock()

    def read_unlock(self) -> None:
        """`srcu_read_unlock`."""
        if self.changes:
            self.srcu.read_unlock()

    def synchronize(self) -> None:
        """`synchronize_srcu`."""
        self.srcu.synchronize()
