# $ mmunotify check E311-scenario.py
from mmunotify import Driver, Scenario, SpinLock, Table

SCENARIOS = [Scenario("mine", operations=("munmap",), pages=1, populated=(0, 1))]


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)

    def invalidate_range_start(self, rng):
        with self.lock:
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()
