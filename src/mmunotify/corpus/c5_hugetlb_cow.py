"""C5: a write fault on a huge page broke COW and told no subscriber."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import ENOMEM, Event, PageRange
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine in huge pages."""


class CopiesUntold(Operation):
    """`hugetlb_cow`, one page, which is the process's alone by the time it is replaced."""

    name = "hugetlb_cow"
    function = "hugetlb_cow"
    frames = 1

    def run(self) -> None:
        """Break COW of one page."""
        try:
            self.copy(PageRange(self.pick(), event=Event.CLEAR), self.mm.allocate(Owner.MM))
        except ENOMEM:
            pass

    def copy(self, rng: PageRange, new: Frame) -> None:
        """Clear, flush, set the copy; then the old page goes."""
        mm = self.mm
        with mm.mmap_lock.read:
            self.start(rng)
            with mm.page_table_lock:
                old = mm.pte[rng.start]
                if old is not None:
                    mm.clear_pte(rng.start)
                    mm.flush_tlb_range(rng)
                    mm.set_pte(rng.start, new, True)
            self.end(rng)
        if old is not None:
            mm.put_unmapped(old)
        else:
            new.put()

    def start(self, rng: PageRange) -> None:
        """Who is told before."""

    def end(self, rng: PageRange) -> None:
        """Who is told after."""


class CopiesInSection(CopiesUntold):
    """As repaired."""

    def start(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_start`."""
        self.mm.notifiers.invalidate_range_start(rng)

    def end(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_range_end`."""
        self.mm.notifiers.invalidate_range_end(rng)


SCENARIOS = [
    Scenario("untold", (CopiesUntold,), pages=1, frames=2),
    Scenario("section", (CopiesInSection,), pages=1, frames=2),
]

BUG = Bug(
    id="C5",
    title="COW of a huge page without notifier",
    versions="until 2010",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "A write fault on a huge page clears the entry, maps the copy and frees the old page, "
        "without a section. A guest still has an spte for the old page."
    ),
    fix="Do it in a section.",
    commits=(Commit("3edd4fc9537d", Seen.HISTORY),),
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
