"""`Subscriptions`: the list of an mm's subscribers (`struct mmu_notifier_subscriptions`).

What operations say is the same in all protocols. They differ in what protects a walk over the list
(`read_lock`, `each`), in who may come while it lasts (`register`), and in how one leaves
(`unregister`, `release`). Invariant: there is a fixed slot for each driver that the world contains;
what changes is which of them are on the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.intrinsics import require
from mmunotify.lang.page_range import PageRange
from mmunotify.lang.spinlock import SpinLock
from mmunotify.lang.table import Table
from mmunotify.primary.mm import Mm
from mmunotify.primary.notifiers import Notifiers
from mmunotify.protocols.subscription import Subscription

__all__ = ["Call", "Subscriptions"]

Call = Callable[[Subscription], bool | None]
"""One hook of one subscriber; None is no."""


class Subscriptions(Notifiers):
    """The base of all protocols; `registered`: everybody is on the list at first.

    The kernel inserts at the head. Here a walk goes through the slots in their order: whoever
    comes during a walk is found by it or not, according to its slot.
    """

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        self.name = "notifiers"
        self.mm = mm
        self.changes = True
        self.lock = SpinLock()
        self.subscriptions = tuple(Subscription(driver, registered) for driver in drivers)
        paged = any(subscription.has_page for subscription in self.subscriptions)
        self.pagewise = paged and "invalidate_page" in self.hooks
        self.by_driver: Table[Subscription] = Table(drivers)
        for subscription in self.subscriptions:
            self.by_driver[subscription.driver] = subscription

    def leave_out(self, driver: Driver) -> None:
        """Have a driver not on the list at first; part of set-up."""
        self.by_driver[driver].hashed = False

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
            self.read_lock()
            subscription.release()
            self.read_unlock()
            with self.lock:
                subscription.unlink_once()  # nothing if exit was faster
        self.synchronize()

    def release(self) -> None:
        """`mmu_notifier_release`: release everybody while still on the list, unlink, wait."""
        self.read_lock()
        for subscription in self.subscriptions:
            if subscription.hashed:
                subscription.release()
        with self.lock:
            for subscription in self.subscriptions:
                subscription.unlink_once()
        self.read_unlock()
        self.synchronize()

    def subscribed(self, driver: Driver) -> bool:
        """Tell whether a driver is on the list."""
        return self.by_driver[driver].hashed

    # -- what operations call -------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Tell everybody that a section begins; before Linux 4.19 nobody can refuse."""
        self.walk(lambda subscription: subscription.start_surely(rng))

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Tell everybody that it ends."""
        self.walk(lambda subscription: subscription.end(rng))

    def page_start(self, rng: PageRange) -> None:
        """A section, but for those that have `invalidate_page`."""
        if self.pagewise:
            self.walk(lambda subscription: subscription.start_unless_paged(rng))
        else:
            self.invalidate_range_start(rng)

    def page_cleared(self, rng: PageRange) -> None:
        """Tell those that have it that one page is gone."""
        if self.pagewise:
            self.walk(lambda subscription: subscription.invalidate_page(rng))

    def page_end(self, rng: PageRange) -> None:
        """The end of that section."""
        if self.pagewise:
            self.walk(lambda subscription: subscription.end_unless_paged(rng))
        else:
            self.invalidate_range_end(rng)

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """Nobody is told, before there was the hook."""

    def clear_flush_young(self, rng: PageRange) -> bool:
        """Ask everybody: whoever is not asked would keep the page young."""
        return self.walk(lambda subscription: subscription.clear_flush_young(rng))

    def clear_young(self, rng: PageRange) -> bool:
        """As `clear_flush_young`, without a flush."""
        return self.walk(lambda subscription: subscription.clear_young(rng))

    def test_young(self, rng: PageRange) -> bool:
        """Ask until one says yes: nothing is cleared, so nobody is left out."""
        young = False
        self.read_lock()
        for subscription in self.subscriptions:
            if not young and subscription.hashed and subscription.test_young(rng):
                young = True
        self.read_unlock()
        return young

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

    # -- a walk over the list -------------------------------------------------------------------

    def walk(self, call: Call) -> bool:
        """Call everybody on the list; tell whether any of them said yes."""
        self.read_lock()
        yes = self.each(call)
        self.read_unlock()
        return yes

    def each(self, call: Call) -> bool:
        """Go through the list once."""
        yes = False
        for subscription in self.subscriptions:
            if subscription.hashed and call(subscription):
                yes = True
        return yes

    def read_lock(self) -> None:
        """Begin a walk; nothing protects it unless a protocol says so."""

    def read_unlock(self) -> None:
        """End a walk."""

    def synchronize(self) -> None:
        """Wait for the walks that have begun; nothing can unless a protocol says so."""
