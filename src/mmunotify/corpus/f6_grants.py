"""F6: gntdev waited in its hook for somebody who needs a lock that the hook's caller holds."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, PageRange, Table, thread, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class WaitsForGrants(Driver):
    """Pages of another Xen domain, mapped by grants; a job of the GPU uses them."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.granted = True
        self.job_done = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`gntdev_invalidate`: `unmap_grant_pages`."""
        self.unmap_grants()

    def unmap_grants(self) -> None:
        """`gnttab_unmap_refs_sync`: wait until nobody uses the grant, then unmap."""
        wait_until(lambda: self.job_done)
        self.granted = False

    @thread
    def gpu_job(self) -> None:
        """The job's completion takes a fault, for which mmap_lock is needed."""
        with self.mm.mmap_lock.read:
            self.job_done = True


class UnmapsLater(WaitsForGrants):
    """As repaired."""

    def unmap_grants(self) -> None:
        """`gnttab_unmap_refs_async`: nobody waits."""

    @thread
    def unmap_work(self) -> None:
        """What is called when nobody uses the grant any more."""
        wait_until(lambda: self.job_done)
        self.granted = False


SCENARIOS = [Scenario("gpu_job", ("munmap",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F6",
    title="a hook waits for a foreign completion",
    versions="until 2022",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "munmap holds mmap_lock and calls range_start, which waits until a job of the GPU has "
        "given back its references to the grants. The completion of that job needs the same "
        "mmap_lock."
    ),
    fix=(
        "Unmap asynchronously: the pages are another domain's, so nothing has to be over when the "
        "hook returns."
    ),
    commits=(
        Commit("dbe97cff7dd9", Seen.MAIL, "xen/gntdev: Avoid blocking in unmap_grant_pages()"),
    ),
    buggy=Case(WaitsForGrants, SCENARIOS[0]),
    fixed=Case(UnmapsLater, SCENARIOS[0]),
)
