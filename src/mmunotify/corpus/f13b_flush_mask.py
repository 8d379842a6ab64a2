"""F13b: a CPU that was switching to an mm was left out of the mm's TLB flush."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import PageRange
from mmunotify.primary.cpu import Cpu
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class SkipsSwitching(Mm):
    """`flush_tlb_range` sends to the CPUs that have loaded the mm."""

    def __init__(self, pages: int = 2, frames: int = 3) -> None:
        super().__init__(pages, frames)
        self.switching = True  # loaded_mm of the one CPU is LOADED_MM_SWITCHING

    def flush_tlb_range(self, rng: PageRange) -> None:
        """`should_flush_tlb`: not those that are just switching."""
        if not self.switching:
            super().flush_tlb_range(rng)


class FlushesSwitching(SkipsSwitching):
    """As repaired."""

    def flush_tlb_range(self, rng: PageRange) -> None:
        """A CPU that is switching may be switching to this mm."""
        for cpu in self.cpus:
            cpu.tlb.flush_range(rng)
        self.notifiers.arch_invalidate_secondary_tlbs(rng)


class SwitchMm(Operation):
    """A CPU switches to the mm; from the load of CR3 on its TLB can be filled."""

    name = "switch_mm"
    function = "switch_mm_irqs_off"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        assert isinstance(mm, SkipsSwitching)
        self.space = mm
        self.cpu = Cpu(mm)

    def run(self) -> None:
        """Load CR3, use the mm, then say that it is loaded."""
        self.cpu.access(self.pick(), False)
        self.space.switching = False


class Bystander(Subscriber):
    """A secondary MMU, which has no part in it."""


SCENARIOS = [
    Scenario("skips", (SwitchMm, "madvise_dontneed"), 0, pages=1, frames=2, mm=SkipsSwitching),
    Scenario("flushes", (SwitchMm, "madvise_dontneed"), 0, pages=1, frames=2, mm=FlushesSwitching),
]

BUG = Bug(
    id="F13b",
    title="a CPU that switches is left out of a flush",
    versions="until 2025",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "A CPU has loaded CR3 and fills its TLB, and has not yet noted that it uses the mm. "
        "Another one zaps a page, computes the mask of the CPUs to flush, leaves out the one that "
        "is switching, and frees the frame."
    ),
    fix="Flush a CPU that is switching, too.",
    commits=(Commit("fea4e317f9e7", Seen.CVE),),
    cve="CVE-2025-37964",
    note="Not of the notifiers, but their twin: the CPU's TLB in the place of the secondary one.",
    buggy=Case(Bystander, SCENARIOS[0]),
    fixed=Case(Bystander, SCENARIOS[1]),
)
