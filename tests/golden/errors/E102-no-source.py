from mmunotify import Driver, SpinLock, Table

exec(
    """
class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte = Table(mm.pages)

    def fault(self, page, write):
        with self.lock:
            self.spte[page] = None
"""
)
