"""Faults held off by a counter, with a flag that says whether a range_begin has ever happened.

The invariant would be that the counter is the number of open sections. It is not where a driver
can be registered in the middle of one: the flag keeps it from becoming negative, no more.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off.counter_sequence import CounterSequence
from mmunotify.lang import PageRange
from mmunotify.primary.mm import Mm

__all__ = ["EverBegun"]


class EverBegun(CounterSequence):
    """A counter that ignores ends as long as no section has begun (2 April 2008, against v10).

    With two sections it is unsound: the first one begins before the driver is there, the second one
    after. The end of the first counts the second down, and faults are let in while it is open.
    Where registration excludes sections, as in Linux, no end comes without its start, and the flag
    is not needed.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.ever_begun = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Remember that there was one."""
        with self.lock:
            self.ever_begun = True
            self.sections += 1
            self.drop(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Count down unless this end cannot be ours."""
        with self.lock:
            self.sequence.bump()
            if self.ever_begun and self.sections > 0:
                self.sections -= 1
