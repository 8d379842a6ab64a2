"""A5: mm_take_all_locks took the locks of the two kinds of mappings in the wrong order."""

from __future__ import annotations

from mmunotify.check.scenario import Membership, Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Driver, RwSem
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation
from mmunotify.protocols import SrcuNotifiers

__all__ = ["BUG", "SCENARIOS"]


class TwoLocks(Mm):
    """`rmap_lock` is the i_mmap lock of a file; `anon_lock` that of an anon_vma."""

    def __init__(self, pages: int = 2, frames: int = 3) -> None:
        super().__init__(pages, frames)
        self.anon_lock = RwSem()


class VmaOrder(SrcuNotifiers):
    """`mm_take_all_locks` locks both of one VMA, then those of the next."""

    mm: TwoLocks

    def register(self, driver: Driver) -> None:
        """`mmu_notifier_register`, where the anonymous VMA comes first."""
        with self.mm.mmap_lock.write, self.mm.anon_lock.write, self.mm.rmap_lock.write:
            self.by_driver[driver].hashed = True


class FilesFirst(VmaOrder):
    """As repaired."""

    def register(self, driver: Driver) -> None:
        """All i_mmap locks, then all anon_vma locks."""
        with self.mm.mmap_lock.write, self.mm.rmap_lock.write, self.mm.anon_lock.write:
            self.by_driver[driver].hashed = True


class AdjustVma(Operation):
    """Another process changes a VMA of the same file (`vma_adjust`)."""

    name = "vma_adjust"
    function = "vma_adjust"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        assert isinstance(mm, TwoLocks)
        self.anon_lock = mm.anon_lock

    def run(self) -> None:
        """The i_mmap lock, then the anon_vma lock, as everywhere in mm/."""
        with self.mm.rmap_lock.write, self.anon_lock.write:
            pass


class Registering(Subscriber):
    """Registers while that happens."""


_LATE = Membership(registers=True)
SCENARIOS = [
    Scenario("vma_order", (AdjustVma,), 1, 1, _LATE, 1, 2, VmaOrder, mm=TwoLocks),
    Scenario("files_first", (AdjustVma,), 1, 1, _LATE, 1, 2, FilesFirst, mm=TwoLocks),
]

BUG = Bug(
    id="A5",
    title="lock order in mm_take_all_locks",
    versions="2.6.27-rc",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "Registration takes every anon_vma lock and every i_mmap lock of the mm, VMA by VMA, so "
        "some anon_vma lock comes before some i_mmap lock. Other code takes an i_mmap lock, then "
        "an anon_vma lock. Each holds what the other one waits for."
    ),
    fix="Take all i_mmap locks first, then all anon_vma locks.",
    commits=(Commit("7cd5a02f54f4", Seen.HISTORY),),
    buggy=Case(Registering, SCENARIOS[0]),
    fixed=Case(Registering, SCENARIOS[1]),
)
