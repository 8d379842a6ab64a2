"""D5: a sequence was kept in fewer bits than it has, and from some value on it never fitted."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.lang import Counter, Driver, PageRange, SpinLock, Table
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class KeepsOneBit(Driver):
    """KVM, with a sequence of three bits in the place of 64."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.count = Counter(high=3)
        self.seq = Counter(high=7)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop the translations."""
        with self.lock:
            self.count += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        """Let new ones in."""
        with self.lock:
            self.seq += 1
            self.count -= 1

    def fault(self, page: int, write: bool) -> None:
        """`kvm_faultin_pfn`."""
        seq = self.snapshot()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                self.spte[page] = frame
        frame.put()

    def snapshot(self) -> int:
        """The sequence as the fault keeps it: in an int, of 32 bits in the place of 64."""
        return self.seq.read() % 2


class KeepsAll(KeepsOneBit):
    """As repaired."""

    def snapshot(self) -> int:
        """The sequence."""
        return self.seq.read()


SCENARIOS = [Scenario("two_sections", ("madvise_dontneed", "punch_hole"), pages=1, frames=2)]

BUG = Bug(
    id="D5",
    title="a truncated sequence",
    versions="6.1, until 6.2",
    kind=Kind.LIVENESS,
    property="progress",
    what=(
        "A fault keeps the sequence that it has read in an int. Once 2^31 sections have ended, "
        "what it kept is never equal to the sequence again, and every fault is retried for ever."
    ),
    fix="Keep all of it.",
    commits=(Commit("ba6e3fe25543", Seen.MAIL),),
    note=(
        "The commit repaired it in passing; the stable kernels got a repair of their own in "
        "August 2023. The model has one bit of three in the place of 32 of 64."
    ),
    buggy=Case(KeepsOneBit, SCENARIOS[0]),
    fixed=Case(KeepsAll, SCENARIOS[0]),
)
