"""F10: a region was freed on an error path and stayed subscribed."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import (
    Driver,
    MmuIntervalNotifier,
    Mutex,
    PageRange,
    Table,
    mmu_interval_notifier_remove,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class FreesSubscribed(Driver):
    """Memory of a guest partition: one region, one interval notifier."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mutex = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)
        self.freed = False

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`mshv_region_interval_invalidate`."""
        assert not self.freed, "the hook is called for a region that was freed"
        with self.mutex:
            mmu_interval_set_seq(sub, cur_seq)
        return True

    @thread
    def map_region(self) -> None:
        """`mshv_map_user_memory` fails after the region was subscribed."""
        self.free()

    def free(self) -> None:
        """`vfree`."""
        self.freed = True


class RemovesFirst(FreesSubscribed):
    """As repaired."""

    def free(self) -> None:
        """Unsubscribe before."""
        mmu_interval_notifier_remove(self.notifier)
        self.freed = True


SCENARIOS = [Scenario("map_region", ("punch_hole",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F10",
    title="a freed region is still subscribed",
    versions="until 2026",
    kind=Kind.SC,
    property="assertion",
    what=(
        "The setting up of a region fails after its interval notifier was inserted; the error "
        "path frees the region without removing it. The next invalidation calls the hook with it."
    ),
    fix="Remove the notifier, which waits for hooks that run, before the region is freed.",
    commits=(Commit("6922db250422", Seen.CVE),),
    cve="CVE-2026-23432",
    note=(
        "CVE-2026-72328 (amdxdna, 14f172eff9c1) is a relative: an object is found in a list while "
        "its removal blocks."
    ),
    buggy=Case(FreesSubscribed, SCENARIOS[0]),
    fixed=Case(RemovesFirst, SCENARIOS[0]),
)
