"""Invalidations are collected and flushed once, in range_end. (Wrong: too late.)"""
from mmunotify import Counter, Driver, Epoch, RETRY, Set, SpinLock, Table


class Batch(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.dirty = Set(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                if self.spte[page] is not None:
                    self.spte[page] = None
                    self.dirty.add(page)

    def invalidate_range_end(self, rng):
        with self.lock:
            if not self.dirty.empty():
                self.tlb.flush()
                self.dirty.clear()
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
        frame.put()
