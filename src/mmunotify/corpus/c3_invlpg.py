"""C3: KVM's invlpg dropped an spte and flushed nobody; the notifier then found nothing to flush."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import choose, thread

__all__ = ["BUG", "SCENARIOS"]


class Invlpg(Kvm):
    """One virtual CPU has its invlpg emulated; the device is another one."""

    @thread
    def invlpg(self) -> None:
        """`paging_tmpl.h: invlpg`."""
        page = choose(self.mm.pages)
        with self.mmu_lock:
            if self.spte[page] is not None:
                self.drop_spte(page)

    def drop_spte(self, page: int) -> None:
        """`rmap_remove`, and the spte."""
        self.set_spte(page, None, False)


class InvlpgFlushes(Invlpg):
    """As repaired."""

    def drop_spte(self, page: int) -> None:
        """The same, with a flush before mmu_lock is released."""
        self.set_spte(page, None, False)
        self.tlb.flush()


SCENARIOS = [Scenario("invlpg", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="C3",
    title="invlpg drops an spte, flushes nobody",
    versions="until March 2009",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "A virtual CPU's invlpg removes an spte and its rmap entry and releases mmu_lock without "
        "a flush of the other virtual CPUs. An invalidation finds no spte in the rmap, so it zaps "
        "nothing and skips its own flush; the frame is freed. Another virtual CPU still has it in "
        "its TLB, and writes to it."
    ),
    fix=(
        "Flush before mmu_lock is released: whoever puts the page on the free list has to take "
        "mmu_lock first."
    ),
    commits=(Commit("4539b35881ae", Seen.HISTORY, "KVM: Fix missing smp tlb flush in invlpg"),),
    buggy=Case(Invlpg, SCENARIOS[0]),
    fixed=Case(InvlpgFlushes, SCENARIOS[0]),
)
