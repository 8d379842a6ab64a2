"""F9: GRU unlocked a context and then followed a pointer in it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Mutex, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class ThreadState:
    """A context of the GRU (`struct gru_thread_state`), which names the mm's state, `gms`."""

    def __init__(self) -> None:
        self.ctxlock = Mutex()
        self.freed = False


class FlushesUnlocked(Driver):
    """The GRU with one context."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.gts = ThreadState()
        self.open = True  # the context can be found by its address

    @thread
    def flush_tlb(self) -> None:
        """`gru_user_flush_tlb`, an ioctl."""
        if self.find_lock_gts():
            self.gts.ctxlock.release()
            self.read_gms()
            self.tlb.flush()

    def find_lock_gts(self) -> bool:
        """`gru_find_lock_gts`."""
        self.gts.ctxlock.acquire()
        if not self.open:
            self.gts.ctxlock.release()
        return self.open

    def read_gms(self) -> None:
        """`gts->ts_gms`."""
        assert not self.gts.freed, "the context is used after it was freed"

    @thread
    def unload(self) -> None:
        """Another thread destroys the context."""
        with self.gts.ctxlock:
            self.open = False
        self.gts.freed = True


class CopiesLocked(FlushesUnlocked):
    """As repaired."""

    @thread
    def flush_tlb(self) -> None:
        """Copy the pointer while the context is locked."""
        if self.find_lock_gts():
            self.read_gms()
            self.gts.ctxlock.release()
            self.tlb.flush()


SCENARIOS = [Scenario("flush_tlb", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F9",
    title="GRU uses a context after unlocking it",
    versions="until June 2009",
    kind=Kind.SC,
    property="assertion",
    what=(
        "The ioctl that flushes the TLB unlocks the context and then reads the pointer to the "
        "mm's state from it. In between another thread destroys the context, which is freed."
    ),
    fix="Copy the pointer while the context is locked.",
    commits=(Commit("1926ee85a903", Seen.HISTORY),),
    buggy=Case(FlushesUnlocked, SCENARIOS[0]),
    fixed=Case(CopiesLocked, SCENARIOS[0]),
)
