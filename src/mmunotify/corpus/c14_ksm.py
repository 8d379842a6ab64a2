"""C14: KSM saw a write-protected page and did not see that the flush was pending."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.shared_table import SharesTable
from mmunotify.lang import EFAULT, Event, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.ksm import Ksm
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Device(SharesTable):
    """Stands for any TLB that is flushed with the CPUs' and may still hold a writable entry."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.flush_pending = False  # mm_tlb_flush_pending

    def fault(self, page: int, write: bool) -> None:
        """Write by what is in the TLB, and never by a new write fault (see the note)."""
        if write:
            raise EFAULT
        super().fault(page, write)


class ClearsRefs(Operation):
    """Writing 4 to /proc/PID/clear_refs; KSM runs beside it, mmap_lock is held for reading."""

    name = "clear_refs_4_12"
    function = "clear_refs_write"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, Device)
        self.driver = driver

    def run(self) -> None:
        """Protect one page; the flush comes last."""
        mm = self.mm
        rng = PageRange(self.pick(), event=Event.SOFT_DIRTY)
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            self.driver.flush_pending = True
            with mm.page_table_lock:
                mm.wrprotect(rng.start, self)
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
            self.driver.flush_pending = False


class TrustsEntry(Ksm):
    """ksmd compares a page once nobody can write to it, then maps the KSM page."""

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_copies = True
        [driver] = mm.drivers
        assert isinstance(driver, Device)
        self.driver = driver

    def write_protect_page(self, page: int, frame: Frame) -> bool:
        """Protect and flush, unless the entry is read-only already; then compare."""
        done = self.is_protected(page) or super().write_protect_page(page, frame)
        if done:
            self.mm.ghost.copied[page] = frame  # from here on a write is lost
        return done

    def is_protected(self, page: int) -> bool:
        """`pte_write(pte) || pte_dirty(pte)` is false."""
        with self.mm.page_table_lock:
            protected = self.mm.pte[page] is not None and not self.mm.pte_write[page]
            return protected and self.trusts_entry()

    def trusts_entry(self) -> bool:
        """Whether what the entry says is true of the TLBs, too; the page-table lock is held."""
        return True

    def replace_page(self, page: int, frame: Frame) -> None:
        """Map the KSM page."""
        super().replace_page(page, frame)
        self.mm.ghost.copied[page] = None


class TestsPending(TrustsEntry):
    """As repaired."""

    def trusts_entry(self) -> bool:
        """`mm_tlb_flush_pending`."""
        return not self.driver.flush_pending


SCENARIOS = [
    Scenario("trusts", (ClearsRefs, TrustsEntry), pages=1, frames=2),
    Scenario("tests", (ClearsRefs, TestsPending), pages=1, frames=2),
]

BUG = Bug(
    id="C14",
    title="KSM trusts an entry whose flush is pending",
    versions="until 2017",
    kind=Kind.SC,
    property="no_stale_bytes",
    what=(
        "clear_refs write-protects a page; its TLB flush is pending. KSM finds the entry "
        "read-only and clean, skips its own clear and flush, compares the page and replaces it. A "
        "write by a stale TLB entry, after the comparison, is lost."
    ),
    fix="Do not trust the entry while a flush is pending.",
    commits=(Commit("b3a81d0841a9", Seen.MAIL, "mm: fix KSM data corruption"),),
    note=(
        "The stale TLB was a CPU's; in the model it is a device's that is flushed with the CPUs'. "
        "A write fault after the comparison would set the dirty bit, by which KSM sees that the "
        "entry has changed; the model has no dirty bits, so its device has no such faults. A "
        "variant with page_mkclean was still there in 2020."
    ),
    buggy=Case(Device, SCENARIOS[0]),
    fixed=Case(Device, SCENARIOS[1]),
)
