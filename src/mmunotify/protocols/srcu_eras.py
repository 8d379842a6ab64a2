"""The list under SRCU before it was today's: 3.7 to 6.5, one class an era.

Calling rules: as today's (`srcu`), but for what each class says. Invariant: an era differs from the
next one in what the commit changed that ended it, and in nothing else.
"""

from __future__ import annotations

from mmunotify.lang.driver import Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.protocols.srcu import SrcuNotifiers
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.unlinks_first import UnlinksFirst

__all__ = ["Srcu37Notifiers", "Srcu39Notifiers", "Srcu310Notifiers", "Srcu419Notifiers"]


class Srcu419Notifiers(SrcuNotifiers):
    """4.19 to 5.11: a section that may not block can be refused, and nobody is told that it was.

    Since Linux kernel commit 93065ac753e4; unwound since c2655835fd8c ("mm/mmu_notifiers: ensure
    range_end() is paired with range_start()") (in v5.12).
    """

    unwinds = False
    hooks = frozenset[str]()

    def arch_invalidate_secondary_tlbs(self, rng: PageRange) -> None:
        """Nobody is told: the hook came with 6bbd42e2df8f (in v6.6)."""


class Srcu310Notifiers(Srcu419Notifiers):
    """3.10 to 4.18: hooks may sleep and return nothing.

    Since Linux kernel commit d34883d4e35c ("mm: mmu_notifier: re-fix freed page still mapped in
    secondary MMU"), which tells a subscriber while it is on the list and unlinks it once.
    """

    hooks = frozenset({"invalidate_page"})  # until 5f32b265400d (in v4.14)

    def refuses(self, subscription: Subscription, rng: PageRange) -> bool:
        """Tell a subscriber that a section begins; it cannot refuse."""
        subscription.start_surely(rng)
        return False


class Srcu39Notifiers(UnlinksFirst, Srcu310Notifiers):
    """3.9: unlinked before it is told, so that it is told once.

    Since Linux kernel commit 751efd8610d3, which brought the defect of 2.6.27 back.
    """


class Srcu37Notifiers(Srcu310Notifiers):
    """3.7 and 3.8: told while on the list, but unlinked by `hlist_del_rcu`.

    Since Linux kernel commit 21a92735f660. If an exit unlinks it between the look and the deletion,
    the deletion dereferences NULL.
    """

    def unregister(self, driver: Driver) -> None:
        """`mmu_notifier_unregister`: release while still on the list, unlink, wait."""
        subscription = self.by_driver[driver]
        if subscription.hashed:  # not under the lock
            self.read_lock()
            subscription.release()
            self.read_unlock()
            with self.lock:
                subscription.unlink()
        self.synchronize()
