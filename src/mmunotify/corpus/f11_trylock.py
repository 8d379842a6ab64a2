"""F11: hmm_range_fault spins for a page whose holder waits for the spinner's CPU."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Mutex, Obligation, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class Spins(Driver):
    """`cpu` is the processor that the fault runs on, `folio_lock` that of a device-private page."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.cpu = Mutex()
        self.folio_lock = Mutex()
        self.range_fault = Obligation("range fault")

    @thread
    def hmm_range_fault(self) -> None:
        """`do_swap_page` fails to lock the page, and the fault is tried again at once."""
        with self.range_fault:
            self.cpu.acquire()
            while not self.folio_lock.try_acquire():
                self.before_retry()
            self.folio_lock.release()
            self.cpu.release()

    def before_retry(self) -> None:
        """What is done before the next try."""

    @thread
    def migrate(self) -> None:
        """`migrate_device_page`: `lru_add_drain_all` runs work on every CPU, the page locked."""
        with self.folio_lock, self.cpu:
            pass


class Sleeps(Spins):
    """As repaired."""

    def before_retry(self) -> None:
        """Wait until the page is unlocked, and let others run meanwhile."""
        self.cpu.release()
        self.folio_lock.acquire()
        self.folio_lock.release()
        self.cpu.acquire()


SCENARIOS = [Scenario("range_fault", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F11",
    title="a fault spins for a page whose holder waits",
    versions="until 2026",
    kind=Kind.LIVENESS,
    property="progress",
    what=(
        "hmm_range_fault meets a device-private page, fails to lock it, and tries again at once. "
        "The holder of the page waits until work has run on every CPU, also on that of the fault, "
        "which does not come to rest: neither goes on."
    ),
    fix="Wait until the page is unlocked.",
    commits=(Commit("b570f37a2ce4", Seen.CVE),),
    cve="CVE-2026-43404",
    note="The CPU is a mutex in the model: whoever runs on it without a pause holds it.",
    buggy=Case(Spins, SCENARIOS[0]),
    fixed=Case(Sleeps, SCENARIOS[0]),
)
