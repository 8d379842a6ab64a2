"""Registration by the only thread of a process (EMM, April 2008): `mm_users == 1`.

Calling rules: those of EMM with summed answers. The thread that registers is the only user of the
mm, so no section of the process itself is open, and an invalidation that is missed finds no
translation yet. Invariant: that holds for sections of the process itself. Reclaim and truncation by
others run without being users of the mm, and may be in the middle of one.
"""

from __future__ import annotations

from mmunotify.lang.driver import Driver
from mmunotify.protocols.emm import SummingEmmNotifiers

__all__ = ["SingleThreadedNotifiers"]


class SingleThreadedNotifiers(SummingEmmNotifiers):
    """The follow-up to EMM, and what the discussion calls "more fragile than the seqlock".

    In the model every operation that is a user of the mm while it is in a section holds
    `mmap_lock`, so holding it for writing is what being the only user comes to.
    """

    def register(self, driver: Driver) -> None:
        """Come while nobody else is a user of the mm."""
        subscription = self.by_driver[driver]
        with self.mm.mmap_lock.write:  # mm_users == 1
            subscription.hashed = True
