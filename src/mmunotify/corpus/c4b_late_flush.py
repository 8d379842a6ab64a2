"""C4b: KVM of 2.6.27 flushed after it had dropped mmu_lock."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import PageRange

__all__ = ["BUG", "SCENARIOS"]


class FlushesLocked(Kvm):
    """As it is."""


class FlushesLate(FlushesLocked):
    """As it was."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        with self.mmu_lock:
            self.mmu_invalidate_in_progress += 1
            need_tlb_flush = self.unmap_gfn_range(rng)
        if need_tlb_flush:
            self.tlb.flush()


SCENARIOS = [
    Scenario("two_sections", ("madvise_dontneed", "punch_hole"), pages=1, frames=2),
]

BUG = Bug(
    id="C4b",
    title="the flush comes after mmu_lock is dropped",
    versions="2.6.27",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "Two sections cover a page. The first one drops the spte and the lock, and is about to "
        "flush. The second one finds no spte, so it does not flush; its caller clears the entry "
        "and frees the frame. The first one flushes now; in between a virtual CPU wrote to a free "
        "page."
    ),
    fix="Flush before mmu_lock is dropped, once for however many sptes.",
    note=(
        "From the code of e930bffe95e1, which brought notifiers to KVM and was read in the "
        "kernel's history; the commit that moved the flush was not."
    ),
    buggy=Case(FlushesLate, SCENARIOS[0]),
    fixed=Case(FlushesLocked, SCENARIOS[0]),
)
