"""E6: an rmap entry is recorded under one gfn and looked for under another."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.drivers.kvm import Kvm
from mmunotify.lang import PageRange, Table, thread
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class PageTablePage:
    """A shadow page table that maps both small pages of a large one (`struct kvm_mmu_page`)."""

    def __init__(self) -> None:
        self.freed = False


class WrongGfn(Kvm):
    """`rmap[gfn]` is the shadow page that has an spte for it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.sp = PageTablePage()
        self.rmap: Table[PageTablePage | None] = Table(mm.pages)
        for page in mm.pages:
            self.rmap[page] = self.sp

    def unmap_gfn_range(self, rng: PageRange) -> bool:
        """`kvm_unmap_gfn_range`: follow the rmap."""
        flush = super().unmap_gfn_range(rng)
        for page in rng:
            sp = self.rmap[page]
            if sp is not None:
                assert not sp.freed, "the rmap leads into a page table that was freed"
                self.rmap[page] = None
                flush = True
        return flush

    @thread
    def zap_page(self) -> None:
        """`kvm_mmu_page_unlink_children` and `kvm_mmu_free_shadow_page`."""
        with self.mmu_lock:
            for page in self.mm.pages:
                self.rmap[self.gfn_of(page)] = None  # rmap_remove
            self.sp.freed = True
            self.tlb.flush()

    def gfn_of(self, page: int) -> int:
        """`kvm_mmu_page_get_gfn`: as if the table mapped one large page."""
        return 0


class RightGfn(WrongGfn):
    """As repaired."""

    def gfn_of(self, page: int) -> int:
        """The gfn that the entry was recorded under."""
        return page


SCENARIOS = [
    Scenario("zap_page", ("punch_hole",), devices=0, pages=2, frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="E6",
    title="rmap entry under the wrong gfn",
    versions="until 2026",
    kind=Kind.GRANULARITY,
    property="assertion",
    what=(
        "An spte is recorded in the rmap under one gfn, and when its table is zapped it is looked "
        "for under another, which is computed from the table's role as if it mapped a large page. "
        "The rmap keeps a pointer to the table that is freed now; the next range_start follows "
        "it."
    ),
    fix="Compute the gfn of an spte in the same way where it is recorded and where it is removed.",
    commits=(),
    cve="CVE-2026-46113, CVE-2026-53359",
    note="The two CVEs differ in how the gfn comes to be wrong; the model has one way.",
    buggy=Case(WrongGfn, SCENARIOS[0]),
    fixed=Case(RightGfn, SCENARIOS[0]),
)
