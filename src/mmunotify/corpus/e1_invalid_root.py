"""E1: a memslot update leaves an invalid root behind, and the notifier zaps valid roots only."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import PageRange, Table, thread
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class ValidRootsOnly(Kvm):
    """The TDP MMU: `spte` belongs to the valid root, `old_spte` to the one that was invalidated."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.old_spte: Table[Frame | None] = Table(mm.pages)

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """`kvm_tdp_mmu_unmap_gfn_range`: walk every root, if it is valid."""
        return super().unmap_gfn_range(rng)

    @thread
    def memslot_update(self) -> None:
        """`kvm_tdp_mmu_invalidate_all_roots`, then zap the old one and yield in between."""
        with self.mmu_lock:
            for page in self.mm.pages:
                self.old_spte[page] = self.spte[page]
                self.set_spte(page, None, False)
            self.tlb.flush()  # kvm_reload_remote_mmus: nobody uses the old root any more
        for page in self.mm.pages:
            with self.mmu_lock:
                frame = self.old_spte[page]
                self.old_spte[page] = None
                if frame is not None:  # kvm_set_pfn_dirty
                    assert frame.owner is not Owner.FREE, "a free page is marked dirty"


class AllRoots(ValidRootsOnly):
    """As repaired."""

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """Walk every root."""
        for page in rng:
            self.old_spte[page] = None
        return super().unmap_gfn_range(rng)


SCENARIOS = [Scenario("memslot_update", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="E1",
    title="invalid roots are not zapped",
    versions="until 2021",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A memslot update marks KVM's root invalid and zaps it lazily, yielding mmu_lock in "
        "between. range_start walks the valid roots only; the entry is cleared and the frame "
        "freed. The zap goes on, finds the frame in the invalid root and marks a free page dirty."
    ),
    fix="Zap invalid roots, too, as long as they are being zapped.",
    commits=(Commit("d62007edf01f", Seen.CVE),),
    cve="CVE-2021-47639",
    buggy=Case(ValidRootsOnly, SCENARIOS[0]),
    fixed=Case(AllRoots, SCENARIOS[0]),
)
