from mmunotify import Driver, SpinLock, Table


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.shadow = Table(mm.pages)

    def invalidate_range_start(self, rng):
        with self.lock:
            for page in rng:
                self.shadow[page] = None
            self.tlb.flush()
