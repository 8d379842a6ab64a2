# $ mmunotify check E309-protocol.py --protocol srcu
from mmunotify import Driver, MmuIntervalNotifier, SpinLock, Table


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)
        self.notifier = MmuIntervalNotifier(self)

    def invalidate(self, sub, rng, cur_seq):
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()
        return True
