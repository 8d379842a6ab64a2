"""C2: change_pte puts a new frame into a table while another section of the page is open."""

from __future__ import annotations

from mmunotify.check.scenario import Scenario
from mmunotify.corpus.bug import Bug, Case, Commit, Kind, Seen
from mmunotify.corpus.subscriber import Subscriber
from mmunotify.lang import ENOMEM, Event, PageRange
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["BUG", "SCENARIOS"]


class Honours(Subscriber):
    """Re-points its entry where it is told to."""

    def change_pte(self, page: int, frame: Frame) -> None:
        """The hook that Linux had from 2.6.32 to 6.9; the caller holds the page-table lock."""
        with self.lock:
            if self.may_change():
                self.spte[page] = frame

    def may_change(self) -> bool:
        """Whether the new frame may be mapped."""
        return True


class IgnoresIfNested(Honours):
    """As the rule in its documentation was."""

    def may_change(self) -> bool:
        """Only in a section that is the only one."""
        return self.count == 1


class Replaces(Operation):
    """KSM and COW: a page gets another frame, by `set_pte_at_notify`."""

    name = "set_pte_at_notify"
    function = "replace_page"
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        [driver] = mm.drivers
        assert isinstance(driver, Honours)
        self.driver = driver

    def run(self) -> None:
        """Replace one page."""
        try:
            self.replace(PageRange(self.pick(), event=Event.CLEAR), self.mm.allocate(Owner.MM))
        except ENOMEM:
            pass

    def replace(self, rng: PageRange, new: Frame) -> None:
        """Clear, set and notify, in a section."""
        mm = self.mm
        with mm.mmap_lock.read:
            mm.notifiers.invalidate_range_start(rng)
            with mm.page_table_lock:
                old = mm.pte[rng.start]
                if old is not None:
                    mm.clear_pte(rng.start)
                    mm.flush_tlb_range(rng)
                    mm.set_pte(rng.start, new, True)
                    self.driver.change_pte(rng.start, new)
            mm.notifiers.invalidate_range_end(rng)
        if old is not None:
            mm.put_unmapped(old)
        else:
            new.put()


SCENARIOS = [Scenario("change_pte", (Replaces, "punch_hole"), pages=1, frames=2)]

BUG = Bug(
    id="C2",
    title="change_pte in nested sections",
    versions="3.7 to 6.9",
    kind=Kind.SC,
    property="no_stale_translation",
    what=(
        "Two sections of one page are open. The first one replaces the frame and calls "
        "change_pte: the driver maps the new frame, in the middle of the second section, which "
        "has had its start already. The second one clears the entry and frees the new frame."
    ),
    fix=(
        "Ignore change_pte if more than one section is open. In fact a driver with sections never "
        "has an entry when it comes; the hook was dead code for eleven years and was removed in "
        "6.10."
    ),
    commits=(Commit("f3b65bbaed7c", Seen.MAIL, "KVM: delete .change_pte MMU notifier callback"),),
    note=(
        "6bdb913f0a70 put every call of it into a section. No driver is known to have mapped a "
        "frame there since; this is the hazard that the rule is about."
    ),
    buggy=Case(Honours, SCENARIOS[0]),
    fixed=Case(IgnoresIfNested, SCENARIOS[0]),
)
