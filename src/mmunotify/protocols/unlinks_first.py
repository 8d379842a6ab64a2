"""`UnlinksFirst`: the release order of 2.6.27 to 3.5, and of 3.9 again.

Invariant: a subscriber is off the list when it is told to release. An invalidation in between finds
nobody and frees a frame that the subscriber still maps: the defect that 3ad3d901bbcf ("mm:
mmu_notifier: fix freed page still mapped in secondary MMU") (in v3.6) and, after 751efd8610d3 (in
v3.9) had brought it back, d34883d4e35c (in v3.10) repaired.
"""

from __future__ import annotations

from mmunotify.lang.driver import Driver
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Subscriptions

__all__ = ["UnlinksFirst"]


class UnlinksFirst(Subscriptions):
    """A base for protocols that differ in what a reader holds."""

    def unregister(self, driver: Driver) -> None:
        """`mmu_notifier_unregister`: unlink, release, wait."""
        self.unlink_and_release(self.by_driver[driver])
        self.synchronize()

    def release(self) -> None:
        """`__mmu_notifier_release`: unlink and release one after another, wait."""
        for subscription in self.subscriptions:
            self.unlink_and_release(subscription)
        self.synchronize()

    def unlink_and_release(self, subscription: Subscription) -> None:
        """Whoever takes it off the list tells it, so that nobody is told twice."""
        with self.lock:
            mine = subscription.hashed
            subscription.unlink_once()
        if mine:
            self.read_lock()
            subscription.release()
            self.read_unlock()
