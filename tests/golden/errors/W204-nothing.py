# $ mmunotify check W204-nothing.py --scenario munmap
from mmunotify import EFAULT, Driver, SpinLock, Table


class Refuse(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)

    def invalidate_range_start(self, rng):
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def fault(self, page, write):
        self.mm.get_user_page(page, write).put()
        raise EFAULT
