"""The fault path looks the entry up under RCU first; writers take the lock."""
from mmunotify import Counter, Driver, Epoch, RETRY, Rcu, SpinLock, Table


class Entry:
    """A translation entry that can be looked up without the lock."""

    def __init__(self, page):
        self.page = page
        self.frame = None
        self.live = False


class RcuWalk(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.rcu = Rcu()
        self.entries = [Entry(p) for p in mm.pages]
        self.index = Table(mm.pages)  # page -> entry or None
        self.sections = Counter()
        self.seq = Epoch()

    def walk(self, page):
        entry = self.index[page]
        return entry.frame if entry is not None else None

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                self.index[page] = None
            self.tlb.flush()
        if rng.blockable:
            self.rcu.synchronize()

    def invalidate_range_end(self, rng):
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with self.lock:
            self.index.fill(None)
            self.tlb.flush()
        self.rcu.synchronize()

    def fault(self, page, write):
        with self.rcu:
            entry = self.index[page]
            if entry is not None and entry.live:
                return
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.sections or self.seq.read() != seq:
                frame.put()
                return RETRY
            new = self.entries[page]
            new.frame = frame
            new.live = True
            self.index[page] = new
        frame.put()
