"""F4: release waits for a work item, and the work item drops the last hold of the mm."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.last_user import ExitTask, LastUserExits
from mmunotify.lang import Driver, Table, thread, wait_until
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class WorkPuts(Driver):
    """Shared virtual memory of a GPU with a work item that restores what was evicted."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.done = False  # the work item is
        self.queued = False

    def release(self) -> None:
        """`kfd_process_notifier_release`: `flush_work`."""
        wait_until(lambda: self.done)

    @thread
    def restore_work(self) -> None:
        """`svm_range_restore_work`."""
        if self.mm.mmget_not_zero():
            self.mmput()
        self.done = True

    def mmput(self) -> None:
        """Give the hold up."""
        self.mm.mmput()


class WorkPutsAsync(WorkPuts):
    """As repaired."""

    def mmput(self) -> None:
        """`mmput_async`: have another work item do it."""
        self.queued = True

    @thread
    def mmput_async_fn(self) -> None:
        """The other work item."""
        wait_until(lambda: self.done)
        if self.queued:
            self.mm.mmput()


SCENARIOS = [
    Scenario("exit", (ExitTask,), devices=0, pages=1, frames=2, mm=LastUserExits),
]

BUG = Bug(
    id="F4",
    title="release flushes work that drops the mm",
    versions="until 2022",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "The release hook waits for a work item. The work item holds the mm; the process has "
        "exited meanwhile, so its mmput is the last one and runs exit_mmap, and release, in the "
        "work item, which waits for itself."
    ),
    fix="The work item does not drop the last hold itself.",
    commits=(Commit("6225bb3a88d2", Seen.CVE),),
    cve="CVE-2022-49133",
    note="How the commit does it was not read; the model uses mmput_async.",
    buggy=Case(WorkPuts, SCENARIOS[0]),
    fixed=Case(WorkPutsAsync, SCENARIOS[0]),
)
