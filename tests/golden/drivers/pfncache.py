"""A pfn cache for one page at a time, with a generation number (like gfn_to_pfn_cache)."""
from mmunotify import Counter, Driver, Epoch, Mutex, RwLock


class PfnCache(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = RwLock()
        self.refresh_lock = Mutex()
        self.page = None
        self.frame = None
        self.valid = False
        self.active = Counter()
        self.gen = Epoch()

    def walk(self, page):
        if self.valid and self.page == page:
            return self.frame
        return None

    def invalidate_range_start(self, rng):
        with self.lock.write:
            self.active += 1
            if self.valid and self.page in rng:
                self.valid = False
                self.frame = None
            self.tlb.flush()

    def invalidate_range_end(self, rng):
        with self.lock.write:
            self.gen.bump()
            self.active -= 1

    def release(self):
        with self.lock.write:
            self.valid = False
            self.frame = None
            self.tlb.flush()

    def fault(self, page, write):
        with self.refresh_lock:
            with self.lock.write:
                self.valid = False
                self.tlb.flush()
            while True:
                gen = self.gen.read()
                frame = self.mm.get_user_page(page, write)
                with self.lock.write:
                    if self.active == 0 and self.gen.read() == gen:
                        self.page = page
                        self.frame = frame
                        self.valid = True
                        frame.put()
                        return
                frame.put()
