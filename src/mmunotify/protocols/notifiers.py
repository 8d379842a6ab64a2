"""`Notifiers`: what the primary MMU calls, whatever the protocol (`mmu_notifier_*`).

Invariant: a protocol decides who is told, when and under which protection; what is told is the
same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.table import Table
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscription import Subscription

__all__ = ["Notifiers"]


class Notifiers:
    """The base of all protocols: a fixed slot for each driver that the world contains.

    `changes` is False if nobody registers, unregisters or releases during the run; what protects
    the list is then left out, since nobody could tell.
    """

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        self.name = "notifiers"
        self.mm = mm
        self.changes = True
        self.subscriptions = tuple(Subscription(driver, registered) for driver in drivers)
        self.by_driver: Table[Subscription] = Table(drivers)
        for subscription in self.subscriptions:
            self.by_driver[subscription.driver] = subscription

    # -- membership -----------------------------------------------------------------------------

    def register(self, driver: Driver) -> None:
        """Put a driver on the list (`mmu_notifier_register`)."""
        raise NotImplementedError

    def unregister(self, driver: Driver) -> None:
        """Take a driver off the list (`mmu_notifier_unregister`)."""
        raise NotImplementedError

    def release(self) -> None:
        """Tell everybody that the address space goes away (`mmu_notifier_release`)."""
        raise NotImplementedError

    # -- what operations call -------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Begin a section; EAGAIN only if `rng` is not blockable, and then nothing has begun."""
        raise NotImplementedError

    def invalidate_range_end(self, rng: PageRange) -> None:
        """End a section."""
        raise NotImplementedError

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """The CPUs' TLBs are flushed (`mmu_notifier_arch_invalidate_secondary_tlbs`)."""
        raise NotImplementedError

    def clear_flush_young(self, rng: PageRange) -> bool:
        """Tell whether any subscriber used the page since it was last asked."""
        raise NotImplementedError

    def scan(self, rng: PageRange) -> bool:
        """`clear_flush_young`, and see to it that nobody was left out."""
        for subscription in self.subscriptions:
            subscription.asked = False
        young = self.clear_flush_young(rng)
        for subscription in self.subscriptions:
            if subscription.has_clear_flush_young:
                require(
                    "aging_not_lost",
                    subscription.asked or not subscription.hashed,
                    "a scan ended before it asked this subscriber",
                )
        return young
