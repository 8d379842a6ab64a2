"""The interval notifier of Linux 5.5 to today, together with the list, as Linux has them.

Invariant: in a section the subscribed ranges are told before the list, when it begins and when it
ends; each half begins and ends a section for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.primary.mm import Mm
from mmunotify.protocols.interval_tree import IntervalTree
from mmunotify.protocols.srcu import SrcuNotifiers

__all__ = ["IntervalNotifiers", "UnwoundIntervalNotifiers"]


class IntervalNotifiers(SrcuNotifiers):
    """`struct mmu_notifier_subscriptions` with an interval tree.

    As Linux 5.10 to 6.18 have it: where the list refuses a section that may not block, the tree is
    not told that the section is over. The caller must not end what did not begin, so it never is.
    """

    hooks = SrcuNotifiers.hooks | {"invalidate"}

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.tree = IntervalTree(mm, drivers, registered)

    def leave_out(self, driver: Driver) -> None:
        """Have a driver's ranges not in the tree at first, either."""
        super().leave_out(driver)
        self.tree.leave_out(driver)

    def register(self, driver: Driver) -> None:
        """Put a driver with list hooks on the list, and its ranges into the tree."""
        if self.by_driver[driver].listed:
            super().register(driver)
        for sub in driver.interval_notifiers:
            if not sub.by_hand:
                self.tree.insert(sub)

    def unregister(self, driver: Driver) -> None:
        """Take them out again: the ranges first."""
        for sub in driver.interval_notifiers:
            if not sub.by_hand:
                self.tree.remove(sub)
        if self.by_driver[driver].listed:
            super().unregister(driver)

    def release(self) -> None:
        """`__mmu_notifier_release`."""
        if self.tree.has_itree:
            self.tree.release()
        super().release()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`__mmu_notifier_invalidate_range_start`: the tree, then the list."""
        if self.tree.has_itree:
            self.tree.invalidate(rng)  # it ends by itself what it cannot begin
        self.start_list(rng)

    def start_list(self, rng: PageRange) -> None:
        """`mn_hlist_invalidate_range_start`; the tree's half of the section has begun."""
        super().invalidate_range_start(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`__mmu_notifier_invalidate_range_end`."""
        if self.tree.has_itree:
            self.tree.inv_end()
        super().invalidate_range_end(rng)


class UnwoundIntervalNotifiers(IntervalNotifiers):
    """What Linux would have to do: where the list refuses, end the tree's half of the section."""

    def start_list(self, rng: PageRange) -> None:
        """Begin the list's half; if it refuses, the tree's is over, too."""
        failed = False
        try:
            super().start_list(rng)
        except EAGAIN:
            failed = True
        if failed:
            if self.tree.has_itree:
                self.tree.inv_end()
            raise EAGAIN
