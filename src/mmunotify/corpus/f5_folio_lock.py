"""F5: xe took the folio lock under its notifier lock; migration takes them the other way round."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Mutex, PageRange, thread
from mmunotify.primary.migrate import Migrate
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class DirtiesLocked(Subscriber):
    """A GPU whose pages are user pointers; `folio_lock` is the lock of the page itself."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.notifier_lock = Mutex()
        self.folio_lock = Mutex()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`xe_vma_userptr_invalidate`."""
        with self.notifier_lock:
            super().invalidate_range_start(rng)

    @thread
    def free_userptr(self) -> None:
        """`xe_hmm_userptr_free_sg`."""
        with self.notifier_lock:
            self.set_page_dirty_lock()

    def set_page_dirty_lock(self) -> None:
        """Mark the page dirty, under its lock."""
        with self.folio_lock:
            pass


class DirtiesUnlocked(DirtiesLocked):
    """As repaired."""

    @thread
    def free_userptr(self) -> None:
        """The same without the notifier lock."""
        self.set_page_dirty_lock()


class MigrateLocked(Migrate):
    """Migration as it is: the folio stays locked from isolation to the end."""

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, DirtiesLocked)
        self.folio_lock = driver.folio_lock

    def run(self) -> None:
        """Move one page."""
        with self.folio_lock:
            super().run()


SCENARIOS = [Scenario("free_userptr", (MigrateLocked,), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F5",
    title="notifier lock against folio lock",
    versions="until 2025",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "Migration holds the folio lock and calls range_start, which takes the driver's notifier "
        "lock. The driver, freeing a user pointer, holds the notifier lock and marks the page "
        "dirty, for which it takes the folio lock."
    ),
    fix="Do not take the folio lock under a lock that a hook takes.",
    commits=(Commit("2577b202458c", Seen.CVE),),
    cve="CVE-2025-37868",
    buggy=Case(DirtiesLocked, SCENARIOS[0]),
    fixed=Case(DirtiesUnlocked, SCENARIOS[0]),
)
