"""The device faults pages in; nobody ever takes them away."""

from mmunotify import Driver, Table
from mmunotify.primary import Frame, Mm


class Mine(Driver):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.spte: Table[Frame | None] = Table(mm.pages)

    def fault(self, page: int, write: bool) -> None:
        frame = self.mm.get_user_page(page, write)
        self.spte[page] = frame
        frame.put()
