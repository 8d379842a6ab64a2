"""`Subscriptions`: the list of an mm's subscribers (`struct mmu_notifier_subscriptions`).

Invariant: there is a fixed slot for each driver that the world contains; what changes is which of
them are on the list.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.primary.mm import Mm
from mmunotify.primary.notifiers import Notifiers
from mmunotify.protocols.subscription import Subscription

__all__ = ["Subscriptions"]


class Subscriptions(Notifiers):
    """The base of all protocols that keep a list; `registered`: everybody is on it at first."""

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        self.name = "notifiers"
        self.mm = mm
        self.changes = True
        self.subscriptions = tuple(Subscription(driver, registered) for driver in drivers)
        self.by_driver: Table[Subscription] = Table(drivers)
        for subscription in self.subscriptions:
            self.by_driver[subscription.driver] = subscription

    def leave_out(self, driver: Driver) -> None:
        """Have a driver not on the list at first; part of set-up."""
        self.by_driver[driver].hashed = False

    def subscribed(self, driver: Driver) -> bool:
        """Tell whether a driver is on the list."""
        return self.by_driver[driver].hashed

    def scan(self, rng: PageRange) -> bool:
        """`clear_flush_young`, and see to it that nobody was left out."""
        for waiting in self.subscriptions:
            waiting.asked = False
        young = self.clear_flush_young(rng)
        for subscription in self.subscriptions:
            if subscription.has_clear_flush_young:
                require(
                    "aging_not_lost",
                    subscription.asked or not subscription.hashed,
                    "a scan ended before it asked this subscriber",
                )
        return young
