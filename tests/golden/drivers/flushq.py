"""An IOMMU flush queue: unmapped pages keep a reference until a deferred flush."""
from mmunotify import Counter, Driver, Epoch, Queue, RETRY, SpinLock, Table


class FlushQueue(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)  # holds a reference for each entry
        self.queue = Queue(4)
        self.sections = Counter()
        self.seq = Epoch()

    def flush_queue(self):
        self.tlb.flush()
        while not self.queue.empty():
            self.queue.get().put()

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                frame = self.spte[page]
                if frame is not None:
                    self.spte[page] = None
                    self.queue.put(frame)
            self.flush_queue()

    def invalidate_range_end(self, rng):
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with self.lock:
            for page in self.mm.pages:
                frame = self.spte[page]
                if frame is not None:
                    self.spte[page] = None
                    self.queue.put(frame)
            self.flush_queue()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if not self.sections and self.seq.read() == seq and self.spte[page] is None:
                self.spte[page] = frame
                return
        frame.put()
