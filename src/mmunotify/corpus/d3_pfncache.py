"""D3: KVM's cache of a frame was made valid although a section was open that had passed it."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Counter, Driver, Epoch, Mutex, PageRange, SpinLock
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class TestsInProgress(Driver):
    """One pfn cache, of page 0; whoever uses it is the device."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.mn_invalidate_lock = SpinLock()
        self.gpc_lock = SpinLock()
        self.refresh_lock = Mutex()
        self.in_progress = Counter(high=7)
        self.mn_active = Counter(high=7)
        self.seq = Epoch()
        self.valid = False
        self.pfn: Frame | None = None

    def walk(self, page: int) -> Frame | None:
        """What the users of the cache reach."""
        return self.pfn if self.valid else None

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`: the caches come before mmu_lock."""
        with self.mn_invalidate_lock:
            self.mn_active += 1
        with self.gpc_lock:  # gfn_to_pfn_cache_invalidate_start
            if self.valid:
                self.valid = False
                self.tlb.flush()
        with self.mmu_lock:
            self.in_progress += 1

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`."""
        with self.mmu_lock:
            self.seq.bump()
            self.in_progress -= 1
        with self.mn_invalidate_lock:
            self.mn_active -= 1

    def fault(self, page: int, write: bool) -> None:
        """`kvm_gpc_refresh`: the lock is not held while the frame is looked up."""
        with self.refresh_lock:
            seq = self.seq.read()
            frame = self.mm.get_user_page(page, write)
            with self.gpc_lock:
                if not self.retry_cache(seq):
                    self.pfn = frame
                    self.valid = True
            frame.put()

    def retry_cache(self, seq: int) -> bool:
        """`mmu_notifier_retry_cache`: a section is open, or one has ended."""
        return self.in_progress > 0 or self.seq.read() != seq


class TestsActive(TestsInProgress):
    """As repaired."""

    def retry_cache(self, seq: int) -> bool:
        """Test the count that goes up before the cache is visited."""
        return self.mn_active > 0 or self.seq.read() != seq


SCENARIOS = [Scenario("pfncache", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="D3",
    title="pfn cache refreshed in an open section",
    versions="until 5.17",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "range_start visits the pfn caches first: this one is not valid, being refreshed, so "
        "nothing is done. The refresh, which has looked the frame up, takes the cache's lock, "
        "finds that mmu_invalidate_in_progress is 0, since range_start counts that up later, and "
        "makes the cache valid. The page is cleared and its frame freed."
    ),
    fix=(
        "Test the sequence, and mn_active_invalidate_count, which goes up before the caches are "
        "visited."
    ),
    commits=(
        Commit("58cd407ca4c6", Seen.MAIL, "KVM: Fix multiple races in gfn=>pfn cache refresh"),
        Commit("93984f19e7bc", Seen.MAIL),
        Commit("85165781c5d9", Seen.MAIL),
    ),
    note=(
        "The kernel had no test at all before; the model has the one that would not have been "
        "enough."
    ),
    buggy=Case(TestsInProgress, SCENARIOS[0]),
    fixed=Case(TestsActive, SCENARIOS[0]),
)
