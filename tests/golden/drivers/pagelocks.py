"""One lock and one count of sections for each page."""
from mmunotify import Counter, Driver, Epoch, RETRY, SpinLock, Table


class Slot:
    def __init__(self):
        self.lock = SpinLock()
        self.sections = Counter()
        self.seq = Counter()


class PageLocks(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.spte = Table(mm.pages)
        self.slots = [Slot() for _ in mm.pages]

    def invalidate_range_start(self, rng):
        for page in rng:
            slot = self.slots[page]
            with slot.lock:
                slot.sections += 1
                self.spte[page] = None
        self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng):
        for page in rng:
            slot = self.slots[page]
            with slot.lock:
                slot.seq += 1
                slot.sections -= 1

    def release(self):
        for page in self.mm.pages:
            with self.slots[page].lock:
                self.spte[page] = None
        self.tlb.flush()

    def fault(self, page, write):
        slot = self.slots[page]
        seq = slot.seq.read()
        frame = self.mm.get_user_page(page, write)
        with slot.lock:
            if slot.sections > 0 or slot.seq.read() != seq:
                frame.put()
                return RETRY
            self.spte[page] = frame
        frame.put()
