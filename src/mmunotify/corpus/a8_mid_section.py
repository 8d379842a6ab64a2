"""A8: the interleaving of 3 April 2008: GRU registers while a hook of XPMEM sleeps."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Driver, Mutex, PageRange, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import RereadingV10Notifiers, SrcuNotifiers

__all__ = ["BUG", "SCENARIOS"]


class Gru(Subscriber):
    """Registers, faults, and loads its TLB."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let new translations in; an end whose start was missed is ignored."""
        with self.lock:
            self.seq.bump()
            if self.count > 0:
                self.count -= 1


class Xpmem(Driver):
    """Is subscribed from the beginning, and sleeps in its hook."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mutex = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`xpmem_invalidate_range_start`."""
        with self.mutex:
            for page in rng:
                self.spte[page] = None


_UNEXCLUDED = Scenario(
    "unexcluded",
    ("punch_hole",),
    membership=Membership(registers=True),
    pages=1,
    frames=2,
    protocol=RereadingV10Notifiers,
    beside=(Xpmem,),
)
SCENARIOS = [_UNEXCLUDED, replace(_UNEXCLUDED, name="excluded", protocol=SrcuNotifiers)]

BUG = Bug(
    id="A8",
    title="registration in the middle of a section",
    versions="never merged: #v10, 2 April 2008",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "Reclaim begins a section, and XPMEM's hook sleeps. GRU registers, faults, finds the page "
        "still there and loads its TLB. XPMEM's hook returns; the page is cleared and freed. GRU "
        "was never told, and writes to a free page."
    ),
    fix=(
        "Keep registration out of sections (mm_take_all_locks), or let a subscription that is "
        "born in one begin as being invalidated (the interval notifier)."
    ),
    note=(
        "The model walks the list in a fixed order, GRU first, so that a newcomer is found by no "
        "walk that has begun, as if it came at the head; the replay of #v10 is of no use where "
        "the walk was over."
    ),
    buggy=Case(Gru, SCENARIOS[0]),
    fixed=Case(Gru, SCENARIOS[1]),
)
