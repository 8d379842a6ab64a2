"""`TornList`: EMM's list as a reader sees it whose two loads are not in order.

Weak memory is not in the model, so the insertion is two steps: the head that readers follow, then
the next pointer of the new element, behind which the others stand.
Invariant: between the two steps a walk ends after the newcomer.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.primary.mm import Mm
from mmunotify.protocols.emm import SummingEmmNotifiers
from mmunotify.protocols.subscriptions import Call

__all__ = ["TornList"]


class TornList(SummingEmmNotifiers):
    """`rcu_dereference` is on the mm, not on the field: nothing orders what is read behind it."""

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.newest: Driver | None = None  # its next pointer is not seen yet

    def register(self, driver: Driver) -> None:
        """Push at the head; the next pointer is seen later."""
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:
            self.newest = driver
            subscription.hashed = True
            self.newest = None

    def each(self, call: Call) -> bool:
        """Go through the list, which ends at an element without a next pointer."""
        found = False
        newest = self.newest
        for subscription in self.subscriptions:
            cut = newest is not None and subscription.driver is not newest
            if not cut and subscription.hashed and call(subscription):
                found = True
        return found
