# $ mmunotify live E327-nothing-to-run.py
from mmunotify import Driver


class Mine(Driver):
    def invalidate_range_start(self, rng):
        pass
