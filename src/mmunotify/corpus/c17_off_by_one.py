"""C17: the invalidation of a large mapping left its last frame out."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import PageRange
from mmunotify.primary.mm import Mm

__all__ = ["BUG", "SCENARIOS"]


class LeavesLastOut(Subscriber):
    """Maps both pages by one large entry where it can: frames 0 and 1 are one huge page."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.large = False

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`kvm_handle_hva`: drop the large entry if the page lies in it, or the small one."""
        with self.lock:
            self.count += 1
            for page in rng:
                if not self.large:
                    self.spte[page] = None
                elif page < self.large_end():
                    self.large = False
                    self.spte.fill(None)
            self.tlb.flush()

    def large_end(self) -> int:
        """The first page after the large mapping."""
        return 1

    def fault(self, page: int, write: bool) -> None:
        """Map both pages, if both are there, else the one."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        both = all(self.mm.pte[each] is self.mm.frames[each] for each in self.mm.pages)
        with self.lock:
            if self.count == 0 and self.seq.read() == seq:
                self.large = both
                self.spte[page] = frame
                if both:
                    for each in self.mm.pages:
                        self.spte[each] = self.mm.frames[each]
        frame.put()


class CountsRight(LeavesLastOut):
    """As repaired."""

    def large_end(self) -> int:
        """The first page after the large mapping."""
        return 2


SCENARIOS = [Scenario("large", ("truncate",), frames=2, populated=(0, 1))]

BUG = Bug(
    id="C17",
    title="off by one in a large mapping",
    versions="until 2010",
    kind=Kind.GRANULARITY,
    property="no_stale_translation",
    what=(
        "A range_start for the last small page of a large mapping computes that the page is "
        "behind its end, and leaves the large spte alone. The page is freed."
    ),
    fix="Count right.",
    commits=(Commit("6e3e243c3b6e", Seen.HISTORY),),
    note="The model has a large mapping of two pages; the arithmetic of the kernel's is not in it.",
    buggy=Case(LeavesLastOut, SCENARIOS[0]),
    fixed=Case(CountsRight, SCENARIOS[0]),
)
