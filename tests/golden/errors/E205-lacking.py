from mmunotify import Driver, SpinLock, Table


class Region:
    def __init__(self):
        self.users = 0


class Pinned(Region):
    def __init__(self):
        super().__init__()
        self.pins = 0


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.plain = Region()
        self.pinned = Pinned()
        self.region = self.plain

    def invalidate_range_start(self, rng):
        self.region = self.pinned
        for page in rng:
            self.spte[page] = None
        self.tlb.flush()

    def fault(self, page, write):
        self.region.pins = 1
        if self.region.pins == 1:
            self.region = self.plain
