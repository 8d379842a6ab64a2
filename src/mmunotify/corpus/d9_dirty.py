"""D9: xe used the page that hmm_range_fault had found, without lock and without reference."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.primary.frame import Frame, Owner

__all__ = ["BUG", "SCENARIOS"]


class DirtiesFirst(Subscriber):
    """A user pointer of a GPU."""

    def fault(self, page: int, write: bool) -> None:
        """`xe_hmm_userptr_populate_range`."""
        seq = self.seq.read()
        with self.mm.mmap_lock.read:
            frame = self.mm.hmm_range_fault(page, write)
        self.commit(page, frame, seq)

    def commit(self, page: int, frame: Frame, seq: int) -> None:
        """`xe_mark_range_accessed`, then map the page."""
        self.mark_accessed(frame)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                self.spte[page] = frame

    def mark_accessed(self, frame: Frame) -> None:
        """`set_page_dirty`."""
        assert frame.owner is not Owner.FREE, "a free page is marked dirty"


class DirtiesLocked(DirtiesFirst):
    """As repaired."""

    def commit(self, page: int, frame: Frame, seq: int) -> None:
        """Under the notifier lock, once the sequence is found unchanged."""
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                self.mark_accessed(frame)
                self.spte[page] = frame


SCENARIOS = [Scenario("userptr", ("punch_hole",), pages=1, frames=2)]

BUG = Bug(
    id="D9",
    title="a page is used without a valid sequence",
    versions="until 2025",
    kind=Kind.SC,
    property="assertion",
    what=(
        "hmm_range_fault finds a page and takes no reference. A section begins and ends, and the "
        "page is freed. The driver marks it dirty, before it looks at its sequence."
    ),
    fix="Touch the page only under the notifier lock, after the sequence was found unchanged.",
    commits=(Commit("0a98219bcc96", Seen.CVE),),
    cve="CVE-2025-21939",
    buggy=Case(DirtiesFirst, SCENARIOS[0]),
    fixed=Case(DirtiesLocked, SCENARIOS[0]),
)
