"""C16: madvise of a huge page unshared a page table outside of the range it had announced."""

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
    """A virtual machine in huge pages that are shared with another process."""


class AnnouncesShared(Operation):
    """MADV_DONTNEED of one huge page; the table that it shares has another one."""

    name = "dontneed_hugetlb"
    function = "zap_page_range_single"
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Unshare the table."""
        shared = PageRange(0, 2, event=Event.CLEAR)
        rng = self.range_of(self.pick())
        with self.mm.mmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(shared)  # huge_pmd_unshare
            self.mm.notifiers.invalidate_range_end(rng)
            self.tlb.finish(shared)

    def range_of(self, page: int) -> PageRange:
        """`adjust_range_if_pmd_sharing_possible`."""
        return PageRange(0, 2, event=Event.CLEAR)


class AnnouncesAsked(AnnouncesShared):
    """As it was."""

    def range_of(self, page: int) -> PageRange:
        """What was asked for."""
        return PageRange(page, event=Event.CLEAR)


SCENARIOS = [
    Scenario("asked", (AnnouncesAsked,), frames=2, populated=(0, 1)),
    Scenario("shared", (AnnouncesShared,), frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="C16",
    title="madvise of a huge page announces too little",
    versions="until 2022",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "MADV_DONTNEED on part of a huge mapping unshares the page table, which takes the entries "
        "of other pages away, too. The section covers what was asked for."
    ),
    fix="Widen the announced range to what a shared table covers.",
    commits=(Commit("21b85b09527c", Seen.MAIL),),
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
