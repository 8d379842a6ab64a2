"""MMU notifiers #v10 as posted (Andrea Arcangeli, 2 April 2008): a seqlock, and replay.

Calling rules: no RCU, so methods may sleep. Registration writes the seqlock; a walk that finds that
somebody came goes through the whole list again, so that the newcomer is told. Nobody can leave.
Invariant: none that helps. The sequence is read once, before the first walk: after one registration
in the middle it never fits again, and the replay never ends. Even where it is read anew, those
that were there hear of one section twice, and who comes between the two ends of a section hears of
its end alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.seqlock import SeqLock
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscriptions import Call, Subscriptions

__all__ = ["RereadingV10Notifiers", "V10Notifiers"]


class V10Notifiers(Subscriptions):
    """#v10 as posted on linux-mm; conceded the next day."""

    unregisters = False
    hooks = frozenset({"invalidate_page"})

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.mn_lock = SeqLock()

    def register(self, driver: Driver) -> None:
        """`mmu_notifier_register`: `mmap_sem` for writing, then the seqlock."""
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write, self.mn_lock:
            subscription.hashed = True  # hlist_add_head

    def release(self) -> None:
        """`mmu_notifier_release`: nobody can come any more."""
        for subscription in self.subscriptions:
            if subscription.hashed:
                subscription.unlink()
                subscription.release()

    def walk(self, call: Call) -> bool:
        """Go through the list; all of it again while somebody has come since the beginning."""
        seq = self.mn_lock.read_begin()
        yes = self.each(call)
        while self.mn_lock.read_retry(seq):
            if self.each(call):
                yes = True
        return yes


class RereadingV10Notifiers(V10Notifiers):
    """#v10 with the sequence read anew before each walk, as was certainly meant."""

    def walk(self, call: Call) -> bool:
        """Go through the list until nobody came during a walk."""
        yes = False
        again = True
        while again:
            seq = self.mn_lock.read_begin()
            if self.each(call):
                yes = True
            again = self.mn_lock.read_retry(seq)
        return yes
