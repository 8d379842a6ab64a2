"""F4b: release waits for a work item, which waits for readers, and release is one."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Table, thread, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class WorkSynchronizes(Driver):
    """Shared virtual memory of a GPU; the work item takes unused ranges away."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.done = False  # the work item is

    def release(self) -> None:
        """`kfd_process_notifier_release`: `flush_work`, in the read section of the caller."""
        wait_until(lambda: self.done)

    @thread
    def deferred_list_work(self) -> None:
        """`svm_range_deferred_list_work`."""
        self.remove_range()
        self.done = True

    def remove_range(self) -> None:
        """Unsubscribe, which ends with `synchronize_srcu`."""
        self.mm.notifiers.synchronize()


class WorkDefers(WorkSynchronizes):
    """As repaired."""

    def remove_range(self) -> None:
        """Leave the waiting to somebody for whom release does not wait."""


SCENARIOS = [Scenario("exit", ("exit",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F4b",
    title="release flushes work that waits for readers",
    versions="until 2023",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "exit calls release in a read section of SRCU. The hook waits for a work item, and the "
        "work item calls synchronize_srcu, which waits for the read section."
    ),
    fix="The work item does not wait for readers.",
    commits=(Commit("2a9de42e8d3c", Seen.CVE),),
    cve="CVE-2023-52632",
    note="How the commit does it was not read; the model leaves the waiting out.",
    buggy=Case(WorkSynchronizes, SCENARIOS[0]),
    fixed=Case(WorkDefers, SCENARIOS[0]),
)
