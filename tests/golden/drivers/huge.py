"""Blocks of two pages are mapped at once where the frames allow it."""
from mmunotify import Counter, Driver, Epoch, RETRY, SpinLock, Table


class Huge(Driver):
    BLOCK = 2

    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()
        self.blocks = Table(range((len(mm.pages) + 1) // 2), False)  # mapped as a block

    def block_of(self, page):
        first = page - page % self.BLOCK
        return range(first, min(first + self.BLOCK, len(self.mm.pages)))

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                if self.blocks[page // 2]:
                    for p in self.block_of(page):
                        self.spte[p] = None
                    self.blocks[page // 2] = False
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng):
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.sections or self.seq.read() != seq:
                frame.put()
                return RETRY
            self.spte[page] = frame
            full = True
            for p in self.block_of(page):
                if self.spte[p] is None:
                    full = False
            if full:
                self.blocks[page // 2] = True
        frame.put()
