from mmunotify import Driver, SpinLock, Table

GROUPS = {1, 2}


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.slots = frozenset(mm.pages)

    def invalidate_range_start(self, rng):
        with self.lock:
            for page in self.slots:
                self.spte[page] = None
            self.tlb.flush()

    def fault(self, page, write):
        for group in GROUPS:
            self.spte[page] = None
