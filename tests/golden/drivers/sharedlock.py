"""All instances of the device share one lock (a global of the driver module)."""
from mmunotify import Counter, Driver, Epoch, Mutex, RETRY, SpinLock, Table

hw_lock = SpinLock()  # one for the whole device


class Shared(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.spte = Table(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()

    def invalidate_range_start(self, rng):
        with hw_lock:
            self.sections += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng):
        with hw_lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with hw_lock:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with hw_lock:
            if self.sections or self.seq.read() != seq:
                frame.put()
                return RETRY
            self.spte[page] = frame
        frame.put()
