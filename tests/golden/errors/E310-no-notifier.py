# $ mmunotify check E310-no-notifier.py
from mmunotify import Driver, SpinLock, Table


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)

    def invalidate(self, sub, rng, cur_seq):
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()
        return True
