"""C10: a shared page table was taken away, and the CPUs' TLBs were not flushed."""

from __future__ import annotations

from dataclasses import replace

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange, Table, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Shared(Subscriber):
    """A secondary MMU, which has no part in it. `table` is what the other process maps."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.table: Table[Frame | None] = Table(mm.pages)
        self.unshared = False


class Unshares(Operation):
    """`__unmap_hugepage_range`: the table is the other process's alone from then on."""

    name = "unshare"
    function = "huge_pmd_unshare"
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, Shared)
        self.driver = driver

    def run(self) -> None:
        """Clear the entry that leads to the table; the pages go on in the other process."""
        mm = self.mm
        rng = PageRange(0, 2, event=Event.CLEAR)
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            with mm.rmap_lock.write:
                with mm.page_table_lock:
                    for page in mm.pages:
                        self.driver.table[page] = mm.clear_pte(page)
                self.flush(rng)
            self.driver.unshared = True  # the i_mmap lock is free
            mm.notifiers.invalidate_range_end(rng)

    def flush(self, rng: PageRange) -> None:
        """What is flushed before the i_mmap lock is dropped."""


class UnsharesAndFlushes(Unshares):
    """As repaired."""

    def flush(self, rng: PageRange) -> None:
        """`tlb_flush_pmd_range`."""
        self.mm.flush_tlb_range(rng)


class OtherProcess(Operation):
    """The other process frees the pages, for which it needs the i_mmap lock."""

    name = "other_process"
    function = "unmap_hugepage_range"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, Shared)
        self.driver = driver

    def run(self) -> None:
        """Free everything."""
        wait_until(lambda: self.driver.unshared)
        for page in self.mm.pages:
            frame = self.driver.table[page]
            if frame is not None:
                self.mm.put_unmapped(frame)


_TWO = Scenario(
    "no_flush",
    (Unshares, OtherProcess, "cpu_access"),
    devices=0,
    frames=2,
    populated=(0, 1),
)
SCENARIOS = [
    _TWO,
    replace(_TWO, name="flush", operations=(UnsharesAndFlushes, OtherProcess, "cpu_access")),
]

BUG = Bug(
    id="C10",
    title="a shared page table goes without a flush",
    versions="until 2021",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "Unmapping huge pages takes a page table away that is shared with another process, and "
        "drops the i_mmap lock without a flush. The other process frees the pages. A CPU of the "
        "first one still has them in its TLB."
    ),
    fix="Flush before the i_mmap lock is dropped.",
    commits=(Commit("a4a118f2eead", Seen.MAIL),),
    cve="CVE-2021-4002",
    note=(
        "Relatives are CVE-2025-38084 (081056dc00a2) and CVE-2025-38085 (1013af4f585f). The TLB "
        "is the CPU's; a secondary one that is flushed with it would be in the same place."
    ),
    buggy=Case(Shared, SCENARIOS[0]),
    fixed=Case(Shared, SCENARIOS[1]),
)
