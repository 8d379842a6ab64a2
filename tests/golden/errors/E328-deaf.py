# $ mmunotify live E328-deaf.py -- true
from mmunotify import Driver


class Mine(Driver):
    def release(self):
        pass
