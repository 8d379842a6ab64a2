"""E3: KVM's TDP MMU zapped an spte, yielded mmu_lock, and flushed only afterwards."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import maybe, thread

__all__ = ["BUG", "SCENARIOS"]


class YieldsUnflushed(Kvm):
    """Zaps a range of sptes for reasons of its own: a memslot goes away."""

    @thread
    def zap_gfn_range(self) -> None:
        """`__kvm_tdp_mmu_zap_gfn_range`."""
        flush = False
        with self.mmu_lock:
            for page in self.mm.pages:
                if maybe():  # tdp_mmu_iter_cond_resched: somebody waits for mmu_lock
                    flush = self.before_yield(flush)
                    self.mmu_lock.release()
                    self.mmu_lock.acquire()
                if self.spte[page] is not None:
                    self.set_spte(page, None, False)
                    flush = True
            if flush:
                self.tlb.flush()

    def before_yield(self, flush: bool) -> bool:
        """What is done before mmu_lock is dropped; return whether a flush is still pending."""
        return flush


class FlushesBeforeYield(YieldsUnflushed):
    """As repaired."""

    def before_yield(self, flush: bool) -> bool:
        """Flush what is pending."""
        if flush:
            self.tlb.flush()
        return False


SCENARIOS = [
    Scenario("zap_gfn_range", ("punch_hole",), pages=2, frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="E3",
    title="a pending flush is lost when mmu_lock yields",
    versions="until 2021",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "KVM zaps an spte for reasons of its own, notes that a flush is pending, and yields "
        "mmu_lock in the middle of the range. range_start finds no spte, so it does not flush; "
        "the frame is freed, and a virtual CPU still has it in its TLB."
    ),
    fix="Flush before mmu_lock is yielded.",
    commits=(
        Commit("a835429cda91", Seen.MAIL),
        Commit("048f49809c52", Seen.MAIL),
        Commit("33a3164161fc", Seen.MAIL),
    ),
    buggy=Case(YieldsUnflushed, SCENARIOS[0]),
    fixed=Case(FlushesBeforeYield, SCENARIOS[0]),
)
