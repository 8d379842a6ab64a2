"""F2: a page fault of RDMA dropped its hold of the mm under the lock that release takes."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.last_user import ExitTask, LastUserExits
from mmunotify.lang import Driver, Mutex, Table, thread, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class PutsLocked(Driver):
    """On-demand paging; the fault returns with `umem_mutex` held."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.umem_mutex = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.queued = False
        self.over = False  # the fault is

    def release(self) -> None:
        """The address space goes away."""
        with self.umem_mutex:
            self.spte.fill(None)

    @thread
    def pagefault(self) -> None:
        """`ib_umem_odp_map_dma_and_lock`."""
        if self.mm.mmget_not_zero():
            with self.umem_mutex:
                self.mmput()
        self.over = True

    def mmput(self) -> None:
        """Give the hold up."""
        self.mm.mmput()


class PutsAsync(PutsLocked):
    """As repaired."""

    def mmput(self) -> None:
        """`mmput_async`: have a work item do it."""
        self.queued = True

    @thread
    def mmput_async_fn(self) -> None:
        """The work item, which holds no lock."""
        wait_until(lambda: self.over)
        if self.queued:
            self.mm.mmput()


SCENARIOS = [
    Scenario("exit", (ExitTask,), devices=0, pages=1, frames=2, mm=LastUserExits),
]

BUG = Bug(
    id="F2",
    title="mmput under the driver's lock",
    versions="until 2022",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "A page fault holds the mm and drops it under umem_mutex. The process has exited "
        "meanwhile: the last mmput runs exit_mmap in this thread, which calls the driver's "
        "release hook, which takes umem_mutex again."
    ),
    fix="Drop the mm by mmput_async, so that exit_mmap runs in a thread without locks.",
    commits=(Commit("85eaeb5058f0", Seen.CVE),),
    cve="CVE-2022-48675",
    buggy=Case(PutsLocked, SCENARIOS[0]),
    fixed=Case(PutsAsync, SCENARIOS[0]),
)
