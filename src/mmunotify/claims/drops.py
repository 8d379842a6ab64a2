"""`Drops`: a driver that drops translations when a section begins and counts nothing.

Invariant: how often it is told of one section makes no difference to it, so that a replay shows by
itself and not by a counter that overflows.
"""

from __future__ import annotations

from mmunotify.lang import Driver, PageRange, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Drops"]


class Drops(Driver):
    """A table without a lock, and no way to install anything."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop what is there."""
        for page in rng:
            self.spte[page] = None
