"""RCU combined with a seqlock (Andrea Arcangeli, 7 March 2008): methods that may sleep.

Calling rules: RCU protects the list, and is dropped while a method runs, which may so sleep. A
seqlock, which unregistration alone writes, tells whether the place in the list is lost; then the
walk starts again at the head. Invariant: the sequence is read anew before each start, so a walk
ends once nobody leaves any more. Those that were called before are called again.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmunotify.lang.driver import Driver
from mmunotify.lang.seqlock import SeqLock
from mmunotify.primary.mm import Mm
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Call
from mmunotify.protocols.v9 import V9Notifiers

__all__ = ["RcuSeqlockNotifiers"]


class RcuSeqlockNotifiers(V9Notifiers):
    """The variant on #v9 that was posted to linux-mm."""

    def __init__(self, mm: Mm, drivers: Sequence[Driver], registered: bool = True) -> None:
        super().__init__(mm, drivers, registered)
        self.seqlock = SeqLock()

    def each(self, call: Call) -> bool:
        """Go through the list, again from the head whenever somebody has left."""
        yes = False
        again = True
        while again:
            again = False
            seq = self.seqlock.read_begin()
            for subscription in self.subscriptions:
                if not again and subscription.hashed:
                    self.rcu.read_unlock()
                    if call(subscription):
                        yes = True
                    self.rcu.read_lock()
                    again = self.seqlock.read_retry(seq)
        return yes

    def unlink_and_release(self, subscription: Subscription) -> None:
        """Unlink under the seqlock; the method may sleep."""
        with self.seqlock:
            mine = subscription.hashed
            subscription.unlink_once()
        if mine:
            subscription.release()
