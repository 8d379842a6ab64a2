"""`NeverNegative`: the flag of claim 14 in its most charitable form.

Invariant: the counter is never below 0, so that it is not the counter that gives the bug away.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off import EverBegun
from mmunotify.lang import PageRange

__all__ = ["NeverNegative"]


class NeverNegative(EverBegun):
    """`EverBegun` that also ignores an end while no section seems to be open."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Count down if there is anything to count."""
        with self.lock:
            self.sequence.bump()
            if self.ever_begun and self.sections > 0:
                self.sections -= 1
