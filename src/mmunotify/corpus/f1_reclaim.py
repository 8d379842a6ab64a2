"""F1: mlx5 allocated under a lock that its invalidation takes; reclaim came back to it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Driver, Mutex, PageRange, Table, maybe, thread
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.reclaim import Reclaim

__all__ = ["BUG", "SCENARIOS"]


class AllocatesLocked(Driver):
    """On-demand paging with a cache of memory keys, which has a lock of its own."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.umem_mutex = Mutex()
        self.rb_lock = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.direct_reclaim = Reclaim(mm)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`mlx5_ib_invalidate_range`: the key of an empty region goes back to the cache."""
        with self.umem_mutex, self.rb_lock:
            for page in rng:
                self.spte[page] = None

    @thread
    def fill_cache(self) -> None:
        """`mlx5r_cache_create_ent_locked`."""
        with self.rb_lock:
            self.kzalloc()

    def kzalloc(self) -> None:
        """An allocation with GFP_KERNEL may have to reclaim pages first."""
        if maybe():
            self.direct_reclaim.run()


class AllocatesBefore(AllocatesLocked):
    """As repaired."""

    @thread
    def fill_cache(self) -> None:
        """Allocate before the lock is taken."""
        self.kzalloc()
        with self.rb_lock:
            pass  # insert what was allocated


SCENARIOS = [Scenario("fill_cache", ("madvise_dontneed",), devices=0, pages=1, frames=2)]

BUG = Bug(
    id="F1",
    title="allocation under the driver's lock",
    versions="until 2025",
    kind=Kind.LIVENESS,
    property="no_deadlock",
    what=(
        "An invalidation takes umem_mutex, then the lock of the key cache. Another thread holds "
        "the cache's lock and allocates with GFP_KERNEL; memory is short, reclaim begins a "
        "section of the same address space, and its range_start waits for umem_mutex. The "
        "kernel's rule: a lock that a hook takes is below reclaim, nothing may be allocated under "
        "it that could reclaim."
    ),
    fix="Do not allocate while the cache's lock is held.",
    commits=(Commit("2ed25aa7f771", Seen.CVE),),
    cve="CVE-2025-38373",
    buggy=Case(AllocatesLocked, SCENARIOS[0]),
    fixed=Case(AllocatesBefore, SCENARIOS[0]),
)
