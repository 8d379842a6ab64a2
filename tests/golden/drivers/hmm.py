"""hmm_range_fault with a seqcount-like retry, mmap_lock taken around the walk."""
from mmunotify import Counter, Driver, Epoch, SpinLock, Table


class Hmm(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.active = Counter()
        self.seq = Epoch()

    def invalidate_range_start(self, rng):
        with self.lock:
            self.active += 1
            self.seq.bump()
            for page in rng:
                self.spte[page] = None
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng):
        with self.lock:
            self.active -= 1

    def release(self):
        with self.lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page, write):
        for attempt in range(3):
            seq = self.seq.read()
            with self.mm.mmap_lock.read:
                frame = self.mm.hmm_range_fault(page, write)
            with self.lock:
                if self.active == 0 and self.seq.read() == seq:
                    self.spte[page] = frame
                    return
