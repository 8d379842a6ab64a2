"""C19: mremap of nothing announced a range without pages."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import PageRange, maybe
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Warns(Subscriber):
    """KVM, which makes sure of what it is told."""

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`__kvm_handle_hva_range`: WARN_ON_ONCE(range->end <= range->start)."""
        assert rng.start < rng.end, "a range without pages is invalidated"
        super().invalidate_range_start(rng)


class MovesNothing(Operation):
    """`move_page_tables`; with old_len 0 mremap maps shared pages a second time."""

    name = "mremap_zero"
    function = "move_page_tables"

    def run(self) -> None:
        """Move one page, or none."""
        with self.mm.mmap_lock.write:
            if maybe():
                self.announce(PageRange(self.pick()))
            else:
                self.move_none()

    def move_none(self) -> None:
        """What is done where old_len is 0."""
        self.announce(PageRange(0, 0))

    def announce(self, rng: PageRange) -> None:
        """A section; the page itself is not moved."""
        self.mm.notifiers.invalidate_range_start(rng)
        self.mm.notifiers.invalidate_range_end(rng)


class ReturnsEarly(MovesNothing):
    """As repaired."""

    def move_none(self) -> None:
        """`if (!len) return 0;`."""


SCENARIOS = [
    Scenario("announces", (MovesNothing,), devices=0, pages=1, frames=2),
    Scenario("returns", (ReturnsEarly,), devices=0, pages=1, frames=2),
]

BUG = Bug(
    id="C19",
    title="a section over an empty range",
    versions="until 2022",
    kind=Kind.SC,
    property="assertion",
    what=(
        "mremap with an old size of 0 begins and ends a section over no page at all, of which KVM "
        "warns."
    ),
    fix="Return early if there is nothing to move.",
    commits=(Commit("01e67e04c281", Seen.CVE),),
    cve="CVE-2022-49077",
    note=(
        "Its opposite was on arm64: a macro changed its arguments, so that secondary TLBs were "
        "flushed for an empty range although pages had gone."
    ),
    buggy=Case(Warns, SCENARIOS[0]),
    fixed=Case(Warns, SCENARIOS[1]),
)
