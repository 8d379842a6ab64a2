import errno

from mmunotify import Driver, SpinLock, Table, Counter, Epoch



class Again(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()

    def invalidate_range_start(self, rng):
        if not rng.blockable:
            return -errno.EAGAIN
        with self.lock:
            self.sections += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()
        return 0

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
            if self.sections == 0 and self.seq.read() == seq:
                self.spte[page] = frame
        frame.put()
