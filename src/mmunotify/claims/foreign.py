"""Operations of other contexts as the mail discusses them: one page, and how its subscribers hear.

Invariant: they differ from `punch_hole` in nothing but what is called, when, and what is asked.
"""

from __future__ import annotations

from mmunotify.lang.obligation import Obligation
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.primary.frame import Frame
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation
from mmunotify.primary.truncate import PunchHole

__all__ = ["LateInvalidatePage", "PromptInvalidatePage", "PunchHoleEnds", "QuietPunchHole"]


class _ForeignUnmap(Operation):
    """One page is unmapped through the reverse map, by nobody of the process."""

    function = "try_to_unmap_one"
    foreign = True

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        mm.ghost.watches_gathers = True  # no section holds anybody off, as for hardware that shares

    def run(self) -> None:
        """Unmap a page and drop its frame."""
        page = self.pick()
        with self.mm.rmap_lock.read:
            self.unmap(page)

    def unmap(self, page: int) -> None:
        """Take the entry away, flush and free; tell nobody."""
        with self.mm.page_table_lock:
            frame = self.clear(page)
        self.free(frame)

    def tell(self, page: int) -> None:
        """`mmu_notifier_invalidate_page`: the driver drops the page, in one call."""
        rng = PageRange(page, event=Event.CLEAR, blockable=False)  # the lock may be held
        self.mm.notifiers.invalidate_range_start(rng)
        self.mm.notifiers.invalidate_range_end(rng)

    def clear(self, page: int) -> Frame | None:
        """`ptep_clear_flush`."""
        frame = self.mm.clear_pte(page)
        self.mm.flush_tlb_range(PageRange(page))
        return frame

    def free(self, frame: Frame | None) -> None:
        """`page_remove_rmap`, `put_page`."""
        if frame is not None:
            self.mm.put_unmapped(frame)


class PromptInvalidatePage(_ForeignUnmap):
    """clear; flush; invalidate_page; all under the page-table lock; then free."""

    name = "invalidate_page_prompt"

    def unmap(self, page: int) -> None:
        """Tell while the lock is held, so that no fault comes in between."""
        with self.mm.page_table_lock:
            frame = self.clear(page)
            self.tell(page)
        self.free(frame)


class LateInvalidatePage(_ForeignUnmap):
    """clear; flush; free; then invalidate_page."""

    name = "invalidate_page_late"

    def unmap(self, page: int) -> None:
        """Tell when the frame is gone."""
        super().unmap(page)
        self.tell(page)


class QuietPunchHole(_ForeignUnmap):
    """clear; flush; free; nobody is told."""

    name = "quiet_punch_hole"


class PunchHoleEnds(PunchHole):
    """`punch_hole`, of which `progress` asks that it comes to an end."""

    name = "punch_hole_ends"

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.punching = Obligation("punch_hole")

    def run(self) -> None:
        """Punch a hole."""
        with self.punching:
            super().run()
