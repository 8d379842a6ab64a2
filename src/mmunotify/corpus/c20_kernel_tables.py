"""C20: the IOMMU kept pointers to page tables of the kernel that were freed."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.shared_table import SharesTable
from mmunotify.lang import atomic, thread
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class CachesTables(SharesTable):
    """The page table that it walks has a kernel half, of which notifiers say nothing."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.kernel_table: Frame = mm.frames[-1]  # a page of a page table of vmalloc's
        self.kernel_table.owner = Owner.OTHER
        self.kernel_table.refcount.set(1)
        self.linked = True  # the entry above leads to it
        self.structure_cache: Frame | None = None  # the IOMMU's paging-structure cache

    @thread
    def walks_kernel_half(self) -> None:
        """A prefetch, or an access that the permissions will refuse: the walk is made anyway."""
        with atomic():
            if self.linked:
                self.structure_cache = self.kernel_table
        with atomic():  # later, from the cache
            found = self.structure_cache
            if found is not None:
                assert found.owner is not Owner.FREE, "the IOMMU reads a page table that was freed"

    @thread
    def vfree(self) -> None:
        """`pud_free_pmd_page`: unlink the table, then free it."""
        self.linked = False
        self.flush_structures()
        self.kernel_table.put()

    def flush_structures(self) -> None:
        """What tells the IOMMU of it."""


class FlushesStructures(CachesTables):
    """As repaired."""

    def flush_structures(self) -> None:
        """`iommu_sva_invalidate_kva_range`."""
        self.structure_cache = None


SCENARIOS = [Scenario("vfree", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="C20",
    title="IOMMU keeps page tables of the kernel",
    versions="until 2025",
    kind=Kind.SC,
    property="assertion",
    what=(
        "A device that shares a process's page table walks its kernel half, too, and caches "
        "pointers to page tables. vfree frees such a table; no notifier covers kernel addresses. "
        "The page gets other contents, which the IOMMU takes for translations."
    ),
    fix=(
        "Flush the IOMMU before a page table of the kernel is freed (until then shared virtual "
        "addressing was disabled on x86)."
    ),
    commits=(Commit("72f98ef9a4be", Seen.CVE), Commit("e37d5a2d60a3", Seen.CVE)),
    cve="CVE-2025-71089, CVE-2025-71202",
    buggy=Case(CachesTables, SCENARIOS[0]),
    fixed=Case(FlushesStructures, SCENARIOS[0]),
)
