"""F9b: GRU found a subscription on the list whose last reference was just dropped."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.lang import AtomicT, Driver, SpinLock, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class FindsByOps(Driver):
    """The state of one mm (`struct gru_mm_struct`), shared by all contexts of it."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.list_lock = SpinLock()
        self.listed = True
        self.refcount = AtomicT(1)
        self.freed = False

    @thread
    def drop(self) -> None:
        """`gru_drop_mmu_notifier`: of the last context."""
        if self.refcount.dec_and_test():
            self.listed = False  # mmu_notifier_unregister
            self.freed = True

    @thread
    def find(self) -> None:
        """`gru_register_mmu_notifier`: a new context looks for a subscription with these ops."""
        if self.listed:
            self.refcount.inc()
            self.use()

    def use(self) -> None:
        """Load the context."""
        assert not self.freed, "the subscription is used after it was freed"


class CountsUnderLock(FindsByOps):
    """As `mmu_notifier_get_locked` and `mmu_notifier_put` do."""

    @thread
    def drop(self) -> None:
        """Off the list with the last reference, in one critical section."""
        with self.list_lock:
            last = self.refcount.dec_and_test()
            if last:
                self.listed = False
        if last:
            self.freed = True

    @thread
    def find(self) -> None:
        """Find and count in one critical section."""
        with self.list_lock:
            found = self.listed
            if found:
                self.refcount.inc()
        if found:
            self.use()


SCENARIOS = [Scenario("find", devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F9b",
    title="GRU finds a subscription that is going",
    versions="2.6.29 to 5.3",
    kind=Kind.SC,
    property="assertion",
    what=(
        "GRU shares one subscription among all contexts of an mm and counts them. One thread "
        "drops the last reference, 1 to 0, and is about to unregister. Another finds the "
        "subscription on the list by its ops, takes a reference, 0 to 1, and uses it. The first "
        "one frees it."
    ),
    fix=(
        "Count under the lock of the list, so that what is found has a reference "
        "(mmu_notifier_get and mmu_notifier_put, since Linux 5.4)."
    ),
    note=(
        "An inference from the code of ee5b8feca3af, read in the kernel's history; no report of "
        "it is known."
    ),
    buggy=Case(FindsByOps, SCENARIOS[0]),
    fixed=Case(CountsUnderLock, SCENARIOS[0]),
)
