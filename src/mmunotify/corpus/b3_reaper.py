"""B3: the OOM reaper of 2016 freed pages and told no subscriber."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import Event, PageRange
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Guest(Subscriber):
    """A virtual machine of the victim."""


class Reaps(Operation):
    """The OOM reaper until Linux 4.13."""

    name = "oom_reaper_4_13"
    function = "__oom_reap_task_mm"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)

    def run(self) -> None:
        """Reap one page."""
        mm = self.mm
        if mm.mmap_lock.down_read_trylock():
            if self.may_reap():
                rng = PageRange(self.pick(), event=Event.UNMAP)
                self.tlb.zap(rng)  # unmap_page_range
                self.tlb.finish(rng)
            mm.mmap_lock.up_read()

    def may_reap(self) -> bool:
        """Whether this address space can be reaped."""
        return True


class SkipsSubscribed(Reaps):
    """As repaired."""

    name = "oom_reaper_4_14"

    def may_reap(self) -> bool:
        """`mm_has_notifiers`."""
        return not any(self.mm.notifiers.subscribed(driver) for driver in self.mm.drivers)


SCENARIOS = [
    Scenario("reaps", (Reaps,), pages=1, frames=2),
    Scenario("skips", (SkipsSubscribed,), pages=1, frames=2),
]

BUG = Bug(
    id="B3",
    title="OOM reaper without notifiers",
    versions="until 4.13",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "The OOM reaper unmaps and frees the victim's pages without a section, since a hook might "
        "block. A guest of the victim still has an spte for a freed page, and writes to it."
    ),
    fix=(
        "Skip address spaces that have subscribers; since 4.19 sections may be non-blockable, and "
        "it reaps those, too."
    ),
    commits=(
        Commit("4d4bbd8526a8", Seen.MAIL, "mm, oom_reaper: skip mm structs with mmu notifiers"),
    ),
    buggy=Case(Guest, SCENARIOS[0]),
    fixed=Case(Guest, SCENARIOS[1]),
)
