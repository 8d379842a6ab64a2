"""A driver with every shape in which compiled steps and Python's accesses differ."""

from __future__ import annotations

from mmunotify import (
    RETRY,
    Counter,
    Driver,
    FaultResult,
    Mutex,
    PageRange,
    SpinLock,
    Table,
    atomic,
    choose,
)
from mmunotify.primary import Frame, Mm

__all__ = ["Shapes"]


class Shapes(Driver):
    """It is right; what it does beside is of no use but to the tests."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.slow = Mutex()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.seq = Counter()
        self.open = Counter()
        self.debug = False  # nothing assigns it: conditions on it are folded
        self.ready = True
        self.log: Table[int] = Table(range(12), 0)  # one thread only touches it
        self.faults = Counter(high=1)

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop translations, through several functions and a `finally`."""
        with self.slow:
            with self.lock:
                self.open += 1
                if self.debug and self.open > 3:
                    self.seq += 1
                try:
                    self.drop(rng)
                finally:
                    self.tlb.flush()
            for slot in range(12):
                self.log[slot] = 1 - self.log[slot]

    def drop(self, rng: PageRange) -> None:
        """Drop the entries of `rng`."""
        for page in self.mm.pages:
            if page not in rng:
                continue
            if self.spte[page] is None:
                continue
            self.spte[page] = None

    def invalidate_range_end(self, rng: PageRange) -> None:
        """End the section; both assignments are one step."""
        with self.lock:
            with atomic():
                self.seq += 1
                self.open -= 1

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Make a translation, in one of two ways that do the same."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, choose((write,)))
        try:
            if choose(2) == 1:
                return self.install(page, frame, seq)
            return self.install(page, frame, seq)
        finally:
            frame.put()

    def install(self, page: int, frame: Frame, seq: int) -> FaultResult | None:
        """Put the translation in, unless it is stale."""
        with self.lock:
            if self.is_quiet() and self.seq.read() == seq and self.ready:
                self.spte[page] = frame
                return None
        return RETRY

    def is_quiet(self) -> bool:
        """Tell whether no section is open: two accesses in one expression."""
        return not (self.open > 0 or self.open > 1)
