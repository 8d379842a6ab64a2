"""B10: PAGEMAP_SCAN began its section before it took the lock that keeps registration out."""

from __future__ import annotations

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Registering(Subscriber):
    """Registers meanwhile."""


class ScansUnlocked(Operation):
    """`PAGEMAP_SCAN` with write protection, one page."""

    name = "pagemap_scan"
    function = "do_pagemap_scan"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True

    def run(self) -> None:
        """Begin, lock, walk, unlock, end."""
        rng = PageRange(self.pick(), event=Event.PROTECTION_VMA)
        self.mm.notifiers.invalidate_range_start(rng)
        with self.mm.mmap_lock.read:
            self.walk(rng)
        self.mm.notifiers.invalidate_range_end(rng)

    def walk(self, rng: PageRange) -> None:
        """`pagemap_scan_pmd_entry`."""
        with self.mm.page_table_lock:
            for page in rng:
                self.mm.wrprotect(page, self)


class ScansLocked(ScansUnlocked):
    """As repaired."""

    def run(self) -> None:
        """Lock, begin, walk, end, unlock."""
        rng = PageRange(self.pick(), event=Event.PROTECTION_VMA)
        with self.mm.mmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.walk(rng)
            self.mm.notifiers.invalidate_range_end(rng)


_LATE = Membership(registers=True)
SCENARIOS = [
    Scenario("unlocked", (ScansUnlocked,), membership=_LATE, pages=1, frames=2),
    Scenario("locked", (ScansLocked,), membership=_LATE, pages=1, frames=2),
]

BUG = Bug(
    id="B10",
    title="a section outside of the mm's lock",
    versions="until 2024",
    kind=Kind.SC,
    property="paired",
    what=(
        "PAGEMAP_SCAN begins a section before it takes mmap_lock and ends it after. Registration, "
        "which relies on every section being inside of some lock of the mm, falls in between: the "
        "new subscriber sees an end without a start."
    ),
    fix="Begin and end the section while mmap_lock is held.",
    commits=(Commit("4cccb6221cae", Seen.CVE),),
    cve="CVE-2024-26617",
    note=(
        "In the kernel the ranges of start and end differed, too, which KVM's warnings showed. "
        "That registration falls into the section is an inference."
    ),
    buggy=Case(Registering, SCENARIOS[0]),
    fixed=Case(Registering, SCENARIOS[1]),
)
