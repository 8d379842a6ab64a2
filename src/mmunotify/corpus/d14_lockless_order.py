"""D14: a lockless check read the sequence before the count, as they are written."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.lang import Counter, Driver, Epoch, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class SequenceFirst(Driver):
    """KVM on Power: an entry of the hash table has a lock of its own, and mmu_lock is not taken."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.mmu_lock = SpinLock()
        self.hpte_lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.count = Counter(high=7)
        self.seq = Epoch()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_start`."""
        with self.mmu_lock:
            self.count += 1
            with self.hpte_lock:
                for page in rng:
                    self.spte[page] = None
                self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`kvm_mmu_notifier_invalidate_range_end`: the sequence, then the count."""
        with self.mmu_lock:
            self.seq.bump()
            self.count -= 1

    def fault(self, page: int, write: bool) -> None:
        """`kvmppc_h_enter`."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.hpte_lock:
            if not self.mmu_notifier_retry(seq):
                self.spte[page] = frame
        frame.put()

    def mmu_notifier_retry(self, seq: int) -> bool:
        """Whether a section is open or has ended; without mmu_lock."""
        if self.seq.read() != seq:
            return True
        return self.count > 0


class CountFirst(SequenceFirst):
    """As repaired."""

    def mmu_notifier_retry(self, seq: int) -> bool:
        """Read in the reverse of the order in which they are written."""
        if self.count > 0:
            return True
        return self.seq.read() != seq


SCENARIOS = [Scenario("lockless", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="D14",
    title="sequence read before count, without a lock",
    versions="until 2012",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "range_end changes the sequence and then lowers the count. A fault that holds no lock "
        "looks at the sequence, which is still the old one. range_end does both. The fault looks "
        "at the count, which is 0 now, and admits the frame that it looked up before the section."
    ),
    fix="Read the count first, then the sequence.",
    note=(
        "The repair has barriers, too, of which a model with sequential consistency knows "
        "nothing; here the two reads alone are in the wrong order. The commit's hash was not "
        "read."
    ),
    buggy=Case(SequenceFirst, SCENARIOS[0]),
    fixed=Case(CountFirst, SCENARIOS[0]),
)
