"""C4: KVM's sync_page dropped sptes; the TLBs were dirty, and the notifier did not know."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import PageRange, choose, thread
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class SyncsUnflushed(Kvm):
    """One virtual CPU has its shadow page synchronised; the device is another one."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.tlbs_dirty = False

    @thread
    def sync_page(self) -> None:
        """`paging_tmpl.h: sync_page`: the guest has changed its entry."""
        page = choose(self.mm.pages)
        with self.mmu_lock:
            if self.spte[page] is not None:
                self.set_spte(page, None, False)
                self.note_dropped()

    def note_dropped(self) -> None:
        """What is remembered of an spte that was dropped without a flush."""


class MarksDirty(SyncsUnflushed):
    """As repaired."""

    def note_dropped(self) -> None:
        """The TLBs are dirty; whoever has to be sure flushes."""
        self.tlbs_dirty = True

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """`need_tlb_flush |= kvm->tlbs_dirty`."""
        flush = super().unmap_gfn_range(rng) or self.tlbs_dirty
        self.tlbs_dirty = False
        return flush


SCENARIOS = [Scenario("sync_page", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="C4",
    title="sync_page drops an spte, flushes nobody",
    versions="until November 2010",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "Synchronising a shadow page drops an spte without a flush: the guest has to flush "
        "anyway. A range_start finds no spte, so it does not flush; the frame is freed while "
        "another virtual CPU has it in its TLB."
    ),
    fix="Remember that the TLBs are dirty, and have the notifier flush if they are.",
    commits=(Commit("30bfb3c42564", Seen.HISTORY), Commit("a4ee1ca4a36e", Seen.HISTORY)),
    note="The first commit flushed at once, the second brought the flag.",
    buggy=Case(SyncsUnflushed, SCENARIOS[0]),
    fixed=Case(MarksDirty, SCENARIOS[0]),
)
