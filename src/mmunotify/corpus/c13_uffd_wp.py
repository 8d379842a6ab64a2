"""C13: a page was copied while a flush of write-protection was pending."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.shared_table import SharesTable
from mmunotify.lang import ENOMEM, Event, PageRange
from mmunotify.primary.fault import wp_page_copy
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Device(SharesTable):
    """Stands for any TLB that is flushed with the CPUs' and may still hold a writable entry."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.flush_pending = False  # mm_tlb_flush_pending


class WriteProtects(Operation):
    """UFFDIO_WRITEPROTECT, which holds mmap_lock for reading only."""

    name = "uffd_wp"
    function = "uffd_wp_range"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, Device)
        self.driver = driver

    def run(self) -> None:
        """Protect one page; the flush comes last."""
        mm = self.mm
        rng = PageRange(self.pick(), event=Event.PROTECTION_VMA)
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            self.driver.flush_pending = True
            with mm.page_table_lock:
                mm.wrprotect(rng.start, self)
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
            self.driver.flush_pending = False


class CopiesAtOnce(Operation):
    """A write fault on the protected page, which finds that it has to be copied."""

    name = "wp_fault"
    function = "do_wp_page"
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_copies = True
        [driver] = mm.drivers
        assert isinstance(driver, Device)
        self.driver = driver

    def run(self) -> None:
        """Copy one page that is not writable: nobody can write to it, so it seems."""
        page = self.pick()
        with self.mm.mmap_lock.read:
            if not self.mm.pte_write[page]:
                self.before_copy(page)
                try:
                    wp_page_copy(self.mm, page)
                except ENOMEM:
                    pass

    def before_copy(self, page: int) -> None:
        """What makes sure of that."""


class FlushesFirst(CopiesAtOnce):
    """As repaired."""

    def before_copy(self, page: int) -> None:
        """`mm_tlb_flush_pending`: flush, if somebody is about to."""
        if self.driver.flush_pending:
            self.mm.flush_tlb_range(PageRange(page))


SCENARIOS = [
    Scenario("copies", (WriteProtects, CopiesAtOnce), pages=1, frames=2),
    Scenario("flushes", (WriteProtects, FlushesFirst), pages=1, frames=2),
]

BUG = Bug(
    id="C13",
    title="a copy while a flush is pending",
    versions="until 2021",
    kind=Kind.SC,
    property="no_stale_bytes",
    what=(
        "One thread write-protects a page by userfaultfd; its TLB flush is pending. Another one "
        "takes a write fault, sees a page that nobody can write to, and copies it. A third writes "
        "to the page by a stale, writable TLB entry, after the copy was made. The copy is mapped, "
        "and the write is lost."
    ),
    fix="Flush before the copy if a flush is pending.",
    commits=(
        Commit(
            "6ce64428d620", Seen.MAIL, "mm/userfaultfd: fix memory corruption due to writeprotect"
        ),
    ),
    note=(
        "The third thread was a CPU; in the model it is a device whose TLB is flushed with the "
        "CPUs'. The mechanism is told as its title suggests; the text was not read."
    ),
    buggy=Case(Device, SCENARIOS[0]),
    fixed=Case(Device, SCENARIOS[1]),
)
