from mmunotify import Driver, Epoch, Table


class Part:
    def __init__(self):
        self.seq = Epoch()


class Mine(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.spte = Table(mm.pages)
        self.parts = Table(mm.pages)
        for page in mm.pages:
            self.parts[page] = Part()

    def invalidate_range_start(self, rng):
        for page in rng:
            self.spte[page] = None

    def fault(self, page, write):
        seq = self.parts[page].seq.read()
        frame = self.mm.get_user_page(page, write)
        if self.parts[page].seq.read() == seq:
            self.spte[page] = frame
        frame.put()
