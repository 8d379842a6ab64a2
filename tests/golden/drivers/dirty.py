"""Read-only and writable translations, and a dirty bitmap of the device."""
from mmunotify import Counter, Driver, Epoch, RETRY, RwLock, Set, Table, atomic


class Dirty(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = RwLock()
        self.spte = Table(mm.pages)
        self.writable = Table(mm.pages, False)
        self.accessed = Table(mm.pages, False)
        self.dirty = Set(mm.pages)
        self.sections = Counter()
        self.seq = Epoch()

    def zap(self, page):
        with atomic():
            if self.writable[page]:
                self.dirty.discard(page)
            self.spte[page] = None
            self.writable[page] = False
            self.accessed[page] = False

    def invalidate_range_start(self, rng):
        with self.lock.write:
            self.sections += 1
            for page in rng:
                self.zap(page)
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng):
        with self.lock.write:
            self.seq.bump()
            self.sections -= 1

    def clear_flush_young(self, rng):
        young = False
        with self.lock.write:
            for page in rng:
                if self.accessed[page]:
                    self.accessed[page] = False
                    young = True
            if young:
                self.tlb.flush_range(rng)
        return young

    def release(self):
        with self.lock.write:
            for page in self.mm.pages:
                self.zap(page)
            self.tlb.flush()

    def fault(self, page, write):
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock.write:
            if self.sections or self.seq.read() != seq:
                frame.put()
                return RETRY
            with atomic():
                self.spte[page] = frame
                self.writable[page] = write
            if write:
                self.dirty.add(page)
        frame.put()
