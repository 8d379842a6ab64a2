"""A fault that began before a section ended tries again."""

from mmunotify import RETRY, Counter, Driver, Epoch, FaultResult, PageRange, SpinLock, Table
from mmunotify.primary import Frame, Mm


class Mine(Driver):
    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.in_progress = Counter()
        self.seq = Epoch()
        self.spte: Table[Frame | None] = Table(mm.pages)

    def invalidate_range_start(self, rng: PageRange) -> None:
        with self.lock:
            self.in_progress += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        with self.lock:
            self.seq.bump()
            self.in_progress -= 1

    def fault(self, page: int, write: bool) -> FaultResult | None:
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.in_progress > 0 or self.seq.read() != seq:
                frame.put()
                return RETRY
            self.spte[page] = frame
        frame.put()
        return None
