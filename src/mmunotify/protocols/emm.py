"""EMM notifiers (Christoph Lameter, April 2008, never merged): one callback for all operations.

Calling rules: the list is read under nothing but what the caller happens to hold, so a callback may
sleep where the caller may, and no grace period tells when one has ended. A subscriber comes under
`mmap_sem`, which sections of other contexts do not hold, and never goes. Invariant: what the VM
does when a callback says no is nothing; the number that comes back matters for `emm_referenced`
alone.
"""

from __future__ import annotations

from mmunotify.lang.driver import EAGAIN, Driver
from mmunotify.lang.page_range import PageRange
from mmunotify.protocols.subscription import Subscription
from mmunotify.protocols.subscriptions import Call, Subscriptions

__all__ = ["EmmNotifiers", "SummingEmmNotifiers"]


class SummingEmmNotifiers(Subscriptions):
    """EMM as of the fix-up of 2 April 2008: everybody is called, the positive answers are summed.

    Source: "[patch 1/9] EMM Notifier: The notifier calls" and its answers on linux-mm.
    """

    unregisters = False

    def register(self, driver: Driver) -> None:
        """`emm_notifier_register`: push at the head, with `mmap_sem` held for writing."""
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:
            subscription.hashed = True

    def release(self) -> None:
        """`emm_notifier_release`: pop one after another, and tell it only then."""
        for subscription in self.subscriptions:
            if subscription.hashed:
                subscription.unlink()
                subscription.release()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`emm_notify(emm_invalidate_start)`; the VM goes on, whatever comes back."""
        self.walk(lambda subscription: self.refuses(subscription, rng))

    def refuses(self, subscription: Subscription, rng: PageRange) -> bool:
        """Call with `emm_invalidate_start`; tell whether the answer is not 0."""
        try:
            subscription.start(rng)
        except EAGAIN:
            return True
        return False


class EmmNotifiers(SummingEmmNotifiers):
    """EMM V1 as posted on 1 April 2008: the first answer that is not 0 ends the walk.

    So the page that the first subscriber has used stays young in the others, which were never asked
    (claim 1 of the discussion), and whoever comes behind a refusal is not told of the section.
    """

    def each(self, call: Call) -> bool:
        """Go through the list up to the first that does not answer 0."""
        stopped = False
        for subscription in self.subscriptions:
            if not stopped and subscription.hashed and call(subscription):
                stopped = True
        return stopped
