"""B7: amdgpu removed an interval notifier whose insertion had failed."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import (
    Driver,
    MmuIntervalNotifier,
    PageRange,
    SpinLock,
    Table,
    maybe,
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_set_seq,
    thread,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class RemovesAlways(Driver):
    """A buffer object made of user memory."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self, by_hand=True)

    def invalidate(self, sub: MmuIntervalNotifier, rng: PageRange, cur_seq: int) -> bool:
        """`amdgpu_hmm_invalidate_gfx`."""
        with self.lock:
            mmu_interval_set_seq(sub, cur_seq)
        return True

    @thread
    def gem_userptr(self) -> None:
        """`amdgpu_gem_userptr_ioctl`, and what frees the object, also where it fails."""
        inserted = maybe()  # -EOVERFLOW: the range goes past the end of the address space
        if inserted:
            mmu_interval_notifier_insert(self.notifier)
        self.unregister_userptr(inserted)

    def unregister_userptr(self, inserted: bool) -> None:
        """`amdgpu_hmm_unregister`."""
        mmu_interval_notifier_remove(self.notifier)


class RemovesInserted(RemovesAlways):
    """As repaired."""

    def unregister_userptr(self, inserted: bool) -> None:
        """Remove what was inserted: `notifier.mm` is NULL otherwise."""
        if inserted:
            mmu_interval_notifier_remove(self.notifier)


SCENARIOS = [Scenario("gem_userptr", ("punch_hole",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="B7",
    title="removal after a failed insertion",
    versions="until 2024",
    kind=Kind.SC,
    property="paired",
    what=(
        "mmu_interval_notifier_insert fails with -EOVERFLOW for a range that a user made up. The "
        "object is torn down, and that removes a notifier which is in no tree."
    ),
    fix="Remember whether it was inserted, and remove it only then.",
    commits=(Commit("22207fd5c801", Seen.CVE),),
    cve="CVE-2024-26656",
    buggy=Case(RemovesAlways, SCENARIOS[0]),
    fixed=Case(RemovesInserted, SCENARIOS[0]),
)
