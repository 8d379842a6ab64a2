"""C9: migration of a huge page unshared a whole page table and announced one entry of it."""

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
    """`try_to_unmap_one` of a huge page: `huge_pmd_unshare` takes both pages' entries away."""

    name = "migrate_hugetlb"
    function = "try_to_unmap_one"
    foreign = True
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Unshare; then the other process's pages may go at any time."""
        shared = PageRange(0, 2, event=Event.CLEAR)
        rng = self.range_of(self.pick())
        with self.mm.rmap_lock.write:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(shared)
            self.mm.flush_tlb_range(shared)
            self.mm.notifiers.invalidate_range_end(rng)
        self.tlb.finish(shared)

    def range_of(self, page: int) -> PageRange:
        """`adjust_range_if_pmd_sharing_possible`."""
        return PageRange(0, 2, event=Event.CLEAR)


class AnnouncesOne(AnnouncesShared):
    """As it was."""

    def range_of(self, page: int) -> PageRange:
        """The page that is migrated."""
        return PageRange(page, event=Event.CLEAR)


SCENARIOS = [
    Scenario("one", (AnnouncesOne,), frames=2, populated=(0, 1)),
    Scenario("shared", (AnnouncesShared,), frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="C9",
    title="range too small for a shared page table",
    versions="until 2018",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "Migration of a huge page finds that its page table is shared and takes the whole table "
        "away, so entries of all its pages go. The section covers one of them. What a secondary "
        "MMU has of the others is stale, and the other process may free them."
    ),
    fix="Widen the range to what a shared table covers.",
    commits=(
        Commit("017b1660df89", Seen.MAIL, "mm: migration: fix migration of huge PMD shared pages"),
        Commit("dff11abe280b", Seen.MAIL),
    ),
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
