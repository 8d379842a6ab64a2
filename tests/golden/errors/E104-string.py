from mmunotify import Counter, Driver, Epoch, Failure, SpinLock, Table, atomic, require, wait_until


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.count = Counter(high=3)
        self.seq = Epoch()
        self.state = 0
        self.names = {"a": 1}
        self.other = None

    def invalidate_range_start(self, rng):
        for page in rng:
            self.spte[page] = None
        self.tlb.flush()

    def fault(self, page, write):
        self.state = "open"
        name = "x" + "y"
