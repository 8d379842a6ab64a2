"""A12: an interval notifier could be inserted after the release of the mm; nothing noticed it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import (
    Driver,
    MmuIntervalNotifier,
    PageRange,
    SpinLock,
    Table,
    mmu_interval_notifier_insert,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class HoldsCount(Driver):
    """Has a reference to the `mm_struct` alone when it subscribes."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self, by_hand=True)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """Drop the translations."""
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
            for page in rng:
                self.spte[page] = None
        return True

    @thread
    def subscribe(self) -> None:
        """An ioctl of a process that the mm is not of."""
        mmu_interval_notifier_insert(self.notifier)


class HoldsUsers(HoldsCount):
    """As it must be."""

    @thread
    def subscribe(self) -> None:
        """Hold the address space itself meanwhile."""
        if self.mm.mmget_not_zero():
            mmu_interval_notifier_insert(self.notifier)
            self.mm.mmput()


SCENARIOS = [Scenario("subscribe", ("exit",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="A12",
    title="subscription after the release",
    versions="until September 2020",
    kind=Kind.SC,
    property="assertion",
    what=(
        "exit has told every subscription that the address space goes away. A driver that holds "
        "the mm_struct, but no user of the mm, inserts an interval notifier: it never hears of "
        "the release. The assertion in the kernel that should have caught such a driver looked at "
        "mm_count, which the driver has."
    ),
    fix=(
        "The assertion looks at mm_users. A driver takes a user by mmget_not_zero before it "
        "subscribes."
    ),
    commits=(
        Commit(
            "c9682d10271e",
            Seen.MAIL,
            "mm/mmu_notifier: fix mmget() assert in __mmu_interval_notifier_insert",
        ),
    ),
    note=(
        "The interleaving is an inference from the commit, which repairs the assertion alone; the "
        "model has the right assertion, and a driver that runs into it."
    ),
    buggy=Case(HoldsCount, SCENARIOS[0]),
    fixed=Case(HoldsUsers, SCENARIOS[0]),
)
