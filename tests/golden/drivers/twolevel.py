"""Two-level page table: a directory of leaf tables."""
from mmunotify import Counter, Driver, Epoch, RETRY, SpinLock, Table

LEAF = 2  # entries per leaf


class Entry:
    def __init__(self):
        self.frame = None


class Leaf:
    def __init__(self, index):
        self.index = index
        self.present = False
        self.slots = [Entry() for _ in range(LEAF)]


class TwoLevel(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.leaves = [Leaf(i) for i in range((len(mm.pages) + LEAF - 1) // LEAF)]
        self.seq = Epoch()
        self.sections = Counter()

    def slot(self, page):
        return self.leaves[page // LEAF].slots[page % LEAF]

    def walk(self, page):
        leaf = self.leaves[page // LEAF]
        if not leaf.present:
            return None
        return leaf.slots[page % LEAF].frame

    def clear(self, page):
        leaf = self.leaves[page // LEAF]
        if not leaf.present:
            return
        leaf.slots[page % LEAF].frame = None
        if all(s.frame is None for s in leaf.slots):
            leaf.present = False

    def invalidate_range_start(self, rng):
        with self.lock:
            self.sections += 1
            for page in rng:
                self.clear(page)
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng):
        with self.lock:
            self.seq.bump()
            self.sections -= 1

    def release(self):
        with self.lock:
            for leaf in self.leaves:
                leaf.present = False
                for s in leaf.slots:
                    s.frame = None
            self.tlb.flush()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            if self.sections or self.seq.read() != seq:
                frame.put()
                return RETRY
            leaf = self.leaves[page // LEAF]
            self.slot(page).frame = frame
            leaf.present = True
        frame.put()
