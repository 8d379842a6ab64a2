"""C6: khugepaged took small pages of a file out of page tables and told no subscriber."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine in shared memory."""


class CollapsesUntold(Operation):
    """`retract_page_tables`: both small pages of a huge one, whose frames are freed."""

    name = "collapse_file"
    function = "retract_page_tables"
    foreign = True
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Take the page table away; a fault maps the huge page."""
        rng = PageRange(0, 2, event=Event.CLEAR)
        with self.mm.rmap_lock.write:
            self.start(rng)
            self.tlb.zap(rng)
            self.mm.flush_tlb_range(rng)
            self.end(rng)
        self.tlb.finish(rng)

    def start(self, rng: PageRange) -> None:
        """Who is told before."""

    def end(self, rng: PageRange) -> None:
        """Who is told after."""


class CollapsesInSection(CollapsesUntold):
    """As repaired."""

    def start(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_start`."""
        self.mm.notifiers.invalidate_range_start(rng)

    def end(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_end`."""
        self.mm.notifiers.invalidate_range_end(rng)


SCENARIOS = [
    Scenario("untold", (CollapsesUntold,), frames=2, populated=(0, 1)),
    Scenario("section", (CollapsesInSection,), frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="C6",
    title="collapse of a file's pages without notifier",
    versions="until 6.0",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "khugepaged collapses small pages of a file into a huge one. It clears the entries, or "
        "takes the whole page table away, and frees the small pages, without a section. A "
        "secondary MMU still maps them."
    ),
    fix="Do it in a section over the whole huge page.",
    commits=(Commit("f268f6cf875f", Seen.CVE),),
    cve="CVE-2022-48991",
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
