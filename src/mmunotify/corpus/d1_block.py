"""D1: arm64 read its sequence after it had let go of the lock under which it sized the mapping."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber

__all__ = ["BUG", "SCENARIOS"]


class ReadsLate(Subscriber):
    """Maps a block where the VMA has room for one; frames 0 and 1 are one huge page."""

    def fault(self, page: int, write: bool) -> None:
        """`user_mem_abort`."""
        with self.mm.mmap_lock.read:
            block = self.vma_is_huge()
        seq = self.seq.read()
        self.install(page, write, block, seq)

    def vma_is_huge(self) -> bool:
        """`vma_lookup`, and whether the block lies in the VMA."""
        return all(self.mm.vma[page] for page in self.mm.pages)

    def install(self, page: int, write: bool, block: bool, seq: int) -> None:
        """Find the frame, and map it or the block around it unless a section came in between."""
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                if block:
                    for each in self.mm.pages:
                        self.spte[each] = self.mm.frames[each]
                else:
                    self.spte[page] = frame
        frame.put()


class ReadsInside(ReadsLate):
    """As repaired."""

    def fault(self, page: int, write: bool) -> None:
        """Read the sequence before mmap_lock is dropped."""
        with self.mm.mmap_lock.read:
            block = self.vma_is_huge()
            seq = self.seq.read()
        self.install(page, write, block, seq)


SCENARIOS = [Scenario("block", ("munmap",), pages=2, frames=2, populated=(0, 1))]

BUG = Bug(
    id="D1",
    title="sequence read after mmap_lock is dropped",
    versions="until 2023",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "A fault looks the VMA up under mmap_lock, finds that a block fits, and lets go of the "
        "lock. munmap takes half of it away, from the start of its section to the end. The fault "
        "reads the sequence, which is current, finds the small frame that is left, sees no "
        "section since, and maps the block, half of which is free."
    ),
    fix="Read the sequence before mmap_lock is dropped, so that it covers what the lookup found.",
    commits=(
        Commit(
            "13ec9308a857",
            Seen.MAIL,
            "KVM: arm64: Retry fault if vma_lookup() results become invalid",
        ),
    ),
    note="RISC-V had the same.",
    buggy=Case(ReadsLate, SCENARIOS[0]),
    fixed=Case(ReadsInside, SCENARIOS[0]),
)
