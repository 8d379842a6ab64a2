from mmunotify import Driver


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.table = mm.tables[0]

    def fault(self, page, write):
        return None
