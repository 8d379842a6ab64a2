"""C7: soft-dirty tracking began without a section, and a device went on writing unseen."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine of the process that is to be migrated."""


class ProtectsUntold(Operation):
    """Writing 4 to /proc/PID/clear_refs."""

    name = "clear_refs_untold"
    function = "clear_refs_write"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_protection = True

    def run(self) -> None:
        """Write-protect every page."""
        mm = self.mm
        rng = PageRange(0, len(mm.pages), event=Event.SOFT_DIRTY)
        with mm.mmap_lock.write:
            self.start(rng)
            for page in mm.pages:
                with mm.page_table_lock:
                    mm.wrprotect(page, self)
            self.end(rng)
            mm.flush_tlb_range(rng)
        for page in mm.pages:
            mm.ghost.returned(page, self)

    def start(self, rng: PageRange) -> None:
        """Who is told before."""

    def end(self, rng: PageRange) -> None:
        """Who is told after."""


class ProtectsInSection(ProtectsUntold):
    """As repaired."""

    def start(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_start`."""
        self.mm.notifiers.invalidate_range_start(rng)

    def end(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_end`."""
        self.mm.notifiers.invalidate_range_end(rng)


SCENARIOS = [
    Scenario("untold", (ProtectsUntold,), pages=1, frames=2),
    Scenario("section", (ProtectsInSection,), pages=1, frames=2),
]

BUG = Bug(
    id="C7",
    title="soft-dirty tracking without notifier",
    versions="until 2014",
    kind=Kind.SC,
    property="no_write_after_protect",
    what=(
        "Clearing the soft-dirty bits write-protects every page, so that the next write is "
        "noticed. No section tells that to the secondary MMUs. A device writes by its old, "
        "writable translation; the page is not marked soft-dirty, and its new bytes are missing "
        "in the migrated image."
    ),
    fix="Do it in a section.",
    note="The patch was read in a mail of 2014; the hash of the commit was not.",
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
