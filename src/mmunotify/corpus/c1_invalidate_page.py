"""C1: invalidate_page was called under the page-table lock, and drivers slept in it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Event, Mutex, PageRange, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Sleeps(Driver):
    """A driver whose lock is a mutex, as it may be where a hook may sleep."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop the translations."""
        with self.lock:
            for page in rng:
                self.spte[page] = None


class NotifiesLocked(Operation):
    """Reclaim of Linux 4.11 to 4.13: `invalidate_page` after the clear, in the same lock."""

    name = "try_to_unmap_4_11"
    function = "try_to_unmap_one"
    foreign = True

    def run(self) -> None:
        """Unmap one page."""
        mm = self.mm
        rng = PageRange(self.pick(), event=Event.CLEAR)
        with mm.rmap_lock.read:
            self.before(rng)
            with mm.page_table_lock:
                frame = mm.pte[rng.start]
                if frame is not None:
                    mm.clear_pte(rng.start)
                    mm.flush_tlb_range(rng)
                    self.under_lock(rng)
            self.after(rng)
            if frame is not None:
                mm.put_unmapped(frame)

    def before(self, rng: PageRange) -> None:
        """Who is told before the page-table lock is taken."""

    def under_lock(self, rng: PageRange) -> None:
        """`mmu_notifier_invalidate_page`."""
        for driver in self.mm.drivers:
            driver.invalidate_range_start(rng)

    def after(self, rng: PageRange) -> None:
        """Who is told after it."""


class NotifiesAround(NotifiesLocked):
    """As repaired."""

    name = "try_to_unmap_4_14"

    def before(self, rng: PageRange) -> None:
        """Begin a section."""
        self.mm.notifiers.invalidate_range_start(rng)

    def under_lock(self, rng: PageRange) -> None:
        """Nobody is told there: invalidate_page is gone."""

    def after(self, rng: PageRange) -> None:
        """End the section."""
        self.mm.notifiers.invalidate_range_end(rng)


SCENARIOS = [
    Scenario("invalidate_page", (NotifiesLocked,), devices=0, pages=1, frames=2),
    Scenario("section", (NotifiesAround,), devices=0, pages=1, frames=2),
]

BUG = Bug(
    id="C1",
    title="invalidate_page under the page-table lock",
    versions="4.11 to 4.13",
    kind=Kind.SC,
    property="context",
    what=(
        "Reclaim clears an entry and calls invalidate_page. Up to 4.10 it did so after it had "
        "dropped the page-table lock, when a new page could be mapped already; since 4.11 it does "
        "so under that spinlock, where the drivers' mutexes cannot be taken."
    ),
    fix="Begin a section before the lock is taken, end it after; invalidate_page is removed.",
    commits=(
        Commit("5f32b265400d", Seen.MAIL, "mm/mmu_notifier: kill invalidate_page"),
        Commit("369ea8242c0f", Seen.MAIL),
    ),
    note="c7ab0d2fdc84 is the commit that brought it in.",
    buggy=Case(Sleeps, SCENARIOS[0]),
    fixed=Case(Sleeps, SCENARIOS[1]),
)
