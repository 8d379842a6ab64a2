"""MMU notifiers #v9 (Andrea Arcangeli, March 2008): a list under RCU.

Calling rules: each method runs in an RCU read section of its own, so it cannot sleep. A subscriber
may come and go at any time, also between the two ends of a section. Invariant: when the driver's
`synchronize_rcu` after its registration returns, every method that begins will find it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.rcu import Rcu
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscriptions import Subscriptions
from mmunotify.protocols.unlinks_first import UnlinksFirst

__all__ = ["RcuNotifiers", "V9Notifiers"]


class RcuNotifiers(Subscriptions):
    """A base: walks are RCU read sections."""

    hooks = frozenset({"invalidate_page"})

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.rcu = Rcu()

    def read_lock(self) -> None:
        """`rcu_read_lock`: no method may sleep."""
        self.rcu.read_lock()

    def read_unlock(self) -> None:
        """`rcu_read_unlock`."""
        self.rcu.read_unlock()

    def synchronize(self) -> None:
        """`synchronize_rcu`."""
        self.rcu.synchronize()


class V9Notifiers(UnlinksFirst, RcuNotifiers):
    """#v7 to #v9 as posted on linux-mm; the order in which one leaves is that of 2.6.27."""

    def register(self, driver: Driver) -> None:
        """`mmu_notifier_register`, and the `synchronize_rcu` that the driver adds to it."""
        subscription = self.by_driver[driver]
        with self.lock:
            subscription.hashed = True  # hlist_add_head_rcu
        self.synchronize()
