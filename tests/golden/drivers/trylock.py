"""A mutex in the hook: trylock and -EAGAIN where the kernel must not block."""
from mmunotify import EAGAIN, Counter, Driver, Epoch, Mutex, Table, RETRY


class TryLock(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.mutex = Mutex()
        self.spte = Table(mm.pages)
        self.seq = Epoch()

    def invalidate_range_start(self, rng):
        if rng.blockable:
            self.mutex.acquire()
        elif not self.mutex.try_acquire():
            raise EAGAIN
        self.seq.bump()
        for page in rng:
            self.spte[page] = None
        self.tlb.flush()
        self.mutex.release()

    def release(self):
        with self.mutex:
            self.spte.fill(None)
            self.tlb.flush()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.mutex:
            if self.seq.read() != seq:
                frame.put()
                return RETRY
            self.spte[page] = frame
        frame.put()
