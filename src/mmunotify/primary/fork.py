"""fork(): a child that shares the parent's frames until somebody writes."""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic
from mmunotify.lang.maybe import maybe
from mmunotify.lang.page_range import Event, PageRange
from mmunotify.lang.table import Table
from mmunotify.primary.frame import Frame, References
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["Child", "Fork"]


class Child:
    """The child's page table, all of it read-only; no secondary MMU serves the child."""

    def __init__(self, mm: Mm) -> None:
        self.mm = mm
        self.pages = mm.pages
        self.pte: Table[Frame | None] = Table(mm.pages)

    def maps(self, frame: Frame) -> bool:
        """Tell whether the child maps `frame`."""
        return any(self.pte[page] is frame for page in self.pages)

    def count(self, frame: Frame) -> int:
        """How many entries map `frame`."""
        found: References = 0
        for page in self.pages:
            if self.pte[page] is frame:
                found += 1
        return found

    def exit(self, page: int) -> None:
        """Unmap `page`: the child exits, or writes there and so gets a copy."""
        with atomic():
            frame = self.pte[page]
            self.pte[page] = None
        if frame is not None:
            frame.put()


class Fork(Operation):
    """fork() of an mm, one page of it; then the child lives on, or exits.

    Sequence: S(PROTECTION_PAGE) on the parent's range; write-protect while copying; E; flush of the
    parent later, in dup_mmap.
    """

    name = "fork"
    function = "copy_page_range"
    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        if mm.child is None:
            mm.child = Child(mm)
        self.child = mm.child
        mm.ghost.watches_protection = True
        mm.ghost.watches_copies = True

    def run(self) -> None:
        """Share one page with a child."""
        mm = self.mm
        page = self.pick()
        rng = PageRange(page, event=Event.PROTECTION_PAGE)
        with mm.mmap_lock.write:
            mm.notifiers.invalidate_range_start(rng)
            with mm.page_table_lock:
                frame = mm.pte[page]
                if frame is not None and self.child.pte[page] is None:
                    mm.wrprotect(page, self)
                    frame.get()
                    self.child.pte[page] = frame
            mm.notifiers.invalidate_range_end(rng)
            mm.flush_tlb_range(rng)
        mm.ghost.returned(page, self)
        if maybe():
            self.child.exit(page)
