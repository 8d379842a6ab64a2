"""A7b: as posted, #v10 read its sequence once; after one registration the replay never ended."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.lang import Driver, Obligation, PageRange, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.truncate import PunchHole
from mmunotify.protocols import RepairedTakeAllLocksNotifiers, V10Notifiers

__all__ = ["BUG", "SCENARIOS"]


class Newcomer(Driver):
    """Registers while a page of the address space is taken away; it maps nothing yet."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop the translations."""
        for page in rng:
            self.spte[page] = None

    @thread
    def open(self) -> None:
        """A device is opened."""
        self.register()


class Reclaims(PunchHole):
    """Somebody who has to come to an end with it."""

    name = "reclaims"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.unmapping = Obligation("unmapping")

    def run(self) -> None:
        """Punch out one page."""
        with self.unmapping:
            super().run()


_POSTED = Scenario(
    "posted",
    (Reclaims,),
    devices=0,
    membership=Membership(registers=True),
    pages=1,
    frames=2,
    protocol=V10Notifiers,
)
SCENARIOS = [_POSTED, replace(_POSTED, name="excludes", protocol=RepairedTakeAllLocksNotifiers)]

BUG = Bug(
    id="A7b",
    title="the replay never ends",
    versions="never merged: #v10, 2 April 2008",
    kind=Kind.LIVENESS,
    property="progress",
    what=(
        "The walk over the list reads the sequence of the seqlock, calls everybody, and does so "
        "again while the sequence has changed. The loop does not read it anew. After a single "
        "registration in the middle it never fits, and whoever invalidates calls everybody for "
        "ever."
    ),
    fix=(
        "Read it anew before each walk. That ends the loop and leaves the bug of A7; the model "
        "has the exclusion that repaired both."
    ),
    note="An inference from the patch as it was posted; nobody said so at the time.",
    buggy=Case(Newcomer, SCENARIOS[0]),
    fixed=Case(Newcomer, SCENARIOS[1]),
)
