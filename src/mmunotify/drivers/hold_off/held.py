"""`Held`: what the drivers of this folder share, that is everything but how faults are held off.

Invariant: a translation is dropped and flushed before `lock` is given back.
"""

from __future__ import annotations

from mmunotify.lang import Driver, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["Held"]


class Held(Driver):
    """A table without references, under one spinlock."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def drop(self, rng: PageRange) -> None:
        """Drop the translations of a range, then flush once; the caller holds `lock`."""
        for page in rng:
            self.spte[page] = None
        self.tlb.flush()

    def release(self) -> None:
        """Drop everything."""
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()
