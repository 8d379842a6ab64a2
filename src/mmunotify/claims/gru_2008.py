"""`Gru2008`: the GRU as the mail has it, under protocols that may end what they did not begin.

Invariant: the counter never becomes negative; what else the flag is good for is claim 14.
"""

from __future__ import annotations

from mmunotify.drivers.gru import Gru
from mmunotify.lang import PageRange
from mmunotify.primary.mm import Mm

__all__ = ["Gru2008"]


class Gru2008(Gru):
    """The GRU with a "static value that accounts if range_begin has ever happened"."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.ever_begun = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Note that there was one."""
        self.ever_begun = True
        super().invalidate_range_start(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Ignore an end before any begin."""
        if self.ever_begun:
            super().invalidate_range_end(rng)
