"""Faults held off by a recursive rwsem that is read-held from range_start to range_end.

Invariant: as in `rwsem`; besides, a reader never waits for a writer that waits, so that a section
inside another one of the same thread begins.
"""

from __future__ import annotations

from mmunotify.drivers.hold_off.rwsem import HeldRwSem
from mmunotify.lang import RecursiveRwSem
from mmunotify.primary.mm import Mm

__all__ = ["HeldRecursiveRwSem"]


class HeldRecursiveRwSem(HeldRwSem):
    """The lock that the mail of 2 April 2008 took for the only way.

    The price is the faults': sections that overlap keep them out for ever. A start that must not
    sleep, and an end that does not come, are as bad as with any lock.
    """

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sem = RecursiveRwSem()
