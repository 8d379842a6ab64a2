"""C18: some architectures flushed the CPUs' TLBs and forgot the secondary ones."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.shared_table import SharesTable
from mmunotify.lang import PageRange
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class Device(SharesTable):
    """An IOMMU that walks the page table and relies on being flushed with the CPUs."""


class FlushesCpusOnly(Mm):
    """`tlb_end_vma` of an mmu_gather that is not the generic one."""

    def flush_tlb_range(self, rng: PageRange) -> None:
        """Flush the CPUs' TLBs."""
        for cpu in self.cpus:
            cpu.tlb.flush_range(rng)


SCENARIOS = [
    Scenario("cpus_only", ("madvise_dontneed",), pages=1, frames=2, mm=FlushesCpusOnly),
    Scenario("both", ("madvise_dontneed",), pages=1, frames=2),
]

BUG = Bug(
    id="C18",
    title="a flush that leaves secondary TLBs out",
    versions="until 2018",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "An mmu_gather of an architecture's own flushes the CPUs in tlb_end_vma and does not call "
        "the hook for hardware that walks the CPU's page table. The frame is freed; the device "
        "still has it in its TLB."
    ),
    fix="Call the hook wherever the CPUs are flushed.",
    commits=(Commit("fd1102f0aade", Seen.MAIL),),
    buggy=Case(Device, SCENARIOS[0]),
    fixed=Case(Device, SCENARIOS[1]),
)
