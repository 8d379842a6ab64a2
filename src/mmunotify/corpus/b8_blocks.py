"""B8: a driver takes a mutex in a section that may not block."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.lang import (
    Driver,
    MmuIntervalNotifier,
    Mutex,
    PageRange,
    Table,
    mmu_interval_set_seq,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class Blocks(Driver):
    """Shared virtual memory of a GPU, a range of it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.prange_lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`svm_range_cpu_invalidate_pagetables`."""
        if self.refuses(rng):
            return False
        with self.prange_lock:
            mmu_interval_set_seq(sub, cur_seq)
            for page in rng:
                self.spte[page] = None
        return True

    def refuses(self, rng: PageRange) -> bool:
        """Whether the hook would have to sleep where it must not."""
        return False


class Refuses(Blocks):
    """As i915 and amdgpu do it."""

    def refuses(self, rng: PageRange) -> bool:
        """`mmu_notifier_range_blockable`."""
        return not rng.blockable


SCENARIOS = [
    Scenario("reaper", ("oom_reaper", "madvise_dontneed"), devices=0, pages=1, frames=2),
]

BUG = Bug(
    id="B8",
    title="a mutex in a non-blockable section",
    versions="6.18",
    kind=Kind.LIVENESS,
    property="context",
    what=(
        "The OOM reaper begins a section that may not block. kfd_svm takes its mutexes without a "
        "look at the range: it may wait for somebody who waits for memory, and the reaper, which "
        "would make some, does not go on."
    ),
    fix="Return false where the range is not blockable.",
    note=(
        "Read in the source of 6.18, and not known to have been reported. The property that fails "
        "is the rule itself, not the deadlock that it prevents."
    ),
    buggy=Case(Blocks, SCENARIOS[0]),
    fixed=Case(Refuses, SCENARIOS[0]),
)
