"""C8: reclaim announced another page than the one it freed."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Kind
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine."""


class Announces(Operation):
    """`try_to_unmap_one` as it should be."""

    name = "try_to_unmap"
    function = "try_to_unmap_one"
    foreign = True
    pages = 2

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Unmap one page."""
        page = self.pick()
        rng = self.range_of(page)
        with self.mm.rmap_lock.read:
            self.mm.notifiers.invalidate_range_start(rng)
            self.tlb.zap(PageRange(page, event=Event.CLEAR))
            self.mm.notifiers.invalidate_range_end(rng)
        self.tlb.finish(PageRange(page, event=Event.CLEAR))

    def range_of(self, page: int) -> PageRange:
        """What is announced."""
        return PageRange(page, event=Event.CLEAR)


class AnnouncesVmaStart(Announces):
    """As it was in 5.0-rc."""

    def range_of(self, page: int) -> PageRange:
        """As many bytes from the start of the VMA on."""
        return PageRange(0, event=Event.CLEAR)


SCENARIOS = [
    Scenario("vma_start", (AnnouncesVmaStart,), frames=2, populated=(0, 1)),
    Scenario("page", (Announces,), frames=2, populated=(0, 1)),
]

BUG = Bug(
    id="C8",
    title="another range than that of the page",
    versions="5.0-rc",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "When the arguments of range_start were put into a structure (ac46d4f3c432), "
        "try_to_unmap_one came to announce a range of the right size from the start of the VMA "
        "on. KVM zaps a page that stays; the one that is freed stays mapped."
    ),
    fix="Announce the page.",
    note="The repair was read in a mail of January 2019; the hash of the commit was not.",
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
