"""B2: on-demand paging held a lock from start to end, and kept it where the start was refused."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import EAGAIN, Driver, PageRange, RwSem, Table, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.protocols import Srcu419Notifiers

__all__ = ["BUG", "SCENARIOS"]


class KeepsLock(Driver):
    """On-demand paging of Linux 4.19 to 5.2: `umem_rwsem` is held while a section is open."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.umem_rwsem = RwSem()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.in_tree = True  # the one region

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`ib_umem_notifier_invalidate_range_start`."""
        if rng.blockable:
            self.umem_rwsem.down_read()
        elif not self.umem_rwsem.down_read_trylock():
            raise EAGAIN
        if self.in_tree and not rng.blockable:  # the region would have to sleep
            self.give_back()
            raise EAGAIN

    def give_back(self) -> None:
        """What is undone before the section is refused."""

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`ib_umem_notifier_invalidate_range_end`."""
        self.umem_rwsem.up_read()

    @thread
    def dereg_mr(self) -> None:
        """`ib_umem_odp_release`: take the region out of the tree."""
        with self.umem_rwsem.write:
            self.in_tree = False


class GivesLockBack(KeepsLock):
    """As repaired."""

    def give_back(self) -> None:
        """No end will come."""
        self.umem_rwsem.up_read()


SCENARIOS = [
    Scenario(
        "reaper",
        ("oom_reaper", "madvise_dontneed"),
        devices=0,
        pages=1,
        frames=2,
        protocol=Srcu419Notifiers,
    )
]

BUG = Bug(
    id="B2",
    title="a lock held from start to end leaks",
    versions="4.19 to 5.1",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "range_start takes an rwsem for reading, which range_end gives back. The OOM reaper's "
        "section may not block, and a region refuses it: the hook returns -EAGAIN with the rwsem "
        "held. No end follows. Whoever deregisters the region takes the rwsem for writing, and "
        "hangs."
    ),
    fix="Give the rwsem back before -EAGAIN is returned.",
    commits=(
        Commit(
            "7608bf40cf24",
            Seen.MAIL,
            "RDMA/odp: Fix missed unlock in non-blocking invalidate_start",
        ),
    ),
    buggy=Case(KeepsLock, SCENARIOS[0]),
    fixed=Case(GivesLockBack, SCENARIOS[0]),
)
