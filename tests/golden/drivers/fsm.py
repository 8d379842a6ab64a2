"""A state machine for each page."""
from dataclasses import dataclass
from enum import Enum, auto

from mmunotify import Counter, Driver, RETRY, SpinLock, Table


class State(Enum):
    EMPTY = auto()
    FAULTING = auto()
    MAPPED = auto()
    RACED = auto()


@dataclass
class PageState:
    page: int
    state: State = State.EMPTY
    frame: object = None


class Fsm(Driver):
    def __init__(self, mm):
        super().__init__(mm)
        self.lock = SpinLock()
        self.open = Counter()
        self.pages = Table(mm.pages)
        for page in mm.pages:
            self.pages[page] = PageState(page)

    def walk(self, page):
        entry = self.pages[page]
        return entry.frame if entry.state is State.MAPPED else None

    def invalidate_range_start(self, rng):
        with self.lock:
            self.open += 1
            for page in rng:
                entry = self.pages[page]
                if entry.state == State.MAPPED:
                    entry.state = State.EMPTY
                    entry.frame = None
                elif entry.state == State.FAULTING:
                    entry.state = State.RACED
            self.tlb.flush()

    def invalidate_range_end(self, rng):
        with self.lock:
            self.open -= 1

    def release(self):
        with self.lock:
            for page in self.mm.pages:
                self.pages[page].state = State.EMPTY
                self.pages[page].frame = None
            self.tlb.flush()

    def fault(self, page, write):
        entry = self.pages[page]
        with self.lock:
            if self.open or entry.state is not State.EMPTY:
                return RETRY
            entry.state = State.FAULTING
        try:
            frame = self.mm.get_user_page(page, write)
        except Exception:
            with self.lock:
                entry.state = State.EMPTY
            raise
        with self.lock:
            if entry.state is State.RACED:
                entry.state = State.EMPTY
            else:
                entry.state = State.MAPPED
                entry.frame = frame
        frame.put()
