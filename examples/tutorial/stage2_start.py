"""Translations are dropped when a section begins."""

from mmunotify import Driver, PageRange, Table
from mmunotify.primary import Frame, Mm


class Mine(Driver):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        for page in rng:
            self.spte[page] = None

    def fault(self, page: int, write: bool) -> None:
        frame = self.mm.get_user_page(page, write)
        self.spte[page] = frame
        frame.put()
