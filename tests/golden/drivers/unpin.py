"""Pinned pages; the unpin is left to a work item."""
from mmunotify import Counter, Driver, Epoch, Queue, RETRY, SpinLock, Table, thread, wait_until


class Unpin(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.todo = Queue(4)
        self.sections = Counter()
        self.seq = Epoch()

    def drop(self, page):
        frame = self.spte[page]
        if frame is not None:
            self.spte[page] = None
            self.tlb.flush()
            self.todo.put(frame)

    @thread(daemon=True)
    def unpin_work(self):
        while True:
            wait_until(lambda: not self.todo.empty())
            self.todo.get().put()

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                self.drop(page)

    def invalidate_range_end(self, rng):
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with self.lock:
            for page in self.mm.pages:
                self.drop(page)

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if not self.sections and self.seq.read() == seq and self.spte[page] is None:
                self.spte[page] = frame
                return
        frame.put()
