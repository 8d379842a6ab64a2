"""The userfaultfd of a registration cache: the read of an event lets its operation run on.

The kernel reports an unmap after it and a discard before it; either way the operation waits until
the monitor has read the event, and no longer. `native/monitor` does the same in C++ (gate, table,
userfaultfd); the order of its lines is what is checked here. A device's fault is one `get()`.
Invariant: no lookup finds a frame that had been replaced at its page, or whose operation had
returned, before the lookup began.
"""

from __future__ import annotations

from typing import Any

from mmunotify.lang import (
    EFAULT,
    ENOMEM,
    Counter,
    Driver,
    Epoch,
    Event,
    FaultResult,
    PageRange,
    Table,
    atomic,
    require,
    thread,
    wait_until,
)
from mmunotify.primary.frame import Frame
from mmunotify.primary.gather import MmuGather
from mmunotify.primary.mm import Mm
from mmunotify.primary.operation import Operation

__all__ = ["DiscardWatched", "EventRing", "MapAgain", "UnmapWatched", "Userfaultfd"]


class Userfaultfd:
    """What the kernel keeps for a userfaultfd (`struct userfaultfd_ctx`)."""

    def __init__(self, mm: Mm) -> None:
        self.watched: Table[bool] = Table(mm.pages, False)  # the VMA has the context
        self.unread: Table[Event | None] = Table(mm.pages)  # the queue
        self.mmap_changing = Counter(high=3)

    def begin(self) -> None:
        """An operation on watched memory begins (`userfaultfd_unmap_prep`, `_remove`)."""
        with atomic():
            self.mmap_changing += 1

    def event(self, page: int, event: Event) -> None:
        """Queue an event and wait until it is read (`userfaultfd_event_wait_completion`)."""
        with atomic():
            wait_until(lambda: self.unread[page] is None)
            self.unread[page] = event
        with atomic():
            wait_until(lambda: self.unread[page] is None)
            self.mmap_changing -= 1

    def read(self, page: int) -> Event | None:
        """Read the event of a page, if there is one: its operation runs on."""
        with atomic():
            found = self.unread[page]
            self.unread[page] = None
            return found


class Sections:
    """How many sections are open over a page (`Sections::open_`)."""

    def __init__(self) -> None:
        self.open = Counter(high=7)


class EventRing(Driver):
    """A registration cache under a userfaultfd and explicit operations."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.uffd = Userfaultfd(mm)
        self.working = False  # the gate: the monitor is at work on what it has read
        # The table. What its mutex holds together is one step here: nothing waits inside.
        self.pieces: Table[Frame | None] = Table(mm.pages)  # page -> what the device registered
        self.generation = Epoch()  # bumped by every invalidation
        self.sections: Table[Sections] = Table(mm.pages)  # of explicit operations
        for page in mm.pages:
            self.sections[page] = Sections()
        self.tombs: Table[bool] = Table(mm.pages, False)  # of discards that may not be over
        # Ghosts: discards that have been reported and are not over; operations by hand that have
        # changed the entry and have not returned; which registration it is.
        self.discarding = Counter(high=3)
        self.zapping = Counter(high=3)
        self.kept = Epoch()

    # -- explicit operations: the hooks of the address space --------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`Space::begin`."""
        for page in rng:
            with atomic():
                here = self.sections[page]
                here.open += 1
                self.drop(page)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`Space::end`."""
        for page in rng:
            with atomic():
                here = self.sections[page]
                here.open -= 1

    # -- the monitor's thread ---------------------------------------------------------------------

    @thread(daemon=True)
    def monitor(self) -> None:
        """`Userfaultfd::run`."""
        while True:
            wait_until(lambda: any(self.uffd.unread[page] is not None for page in self.mm.pages))
            self.working = True  # before the read, which lets the operation run on
            for page in self.mm.pages:
                event = self.uffd.read(page)
                if event is not None:
                    with atomic():
                        if event is Event.CLEAR:
                            self.tombs[page] = True
                        self.drop(page)
            self.working = False

    @thread(daemon=True)
    def age(self) -> None:
        """`Sections::age`: a tombstone outlives its operation; how long that takes is assumed."""
        while True:
            wait_until(lambda: self.discarding == 0 and self.any_tomb())
            with atomic():
                if self.discarding == 0:
                    self.tombs.fill(False)

    def any_tomb(self) -> bool:
        """Tell whether there is a tombstone."""
        return any(self.tombs[page] for page in self.mm.pages)

    def drop(self, page: int) -> None:
        """`Table::invalidate`; part of a step."""
        self.pieces[page] = None
        self.generation.bump()

    def is_stale(self, page: int) -> bool:
        """Tell whether no lookup that begins now may find what is registered (a ghost)."""
        piece, mapped = self.pieces[page], self.mm.pte[page]
        if piece is None or piece is mapped:
            return False
        return mapped is not None or self.zapping == 0

    # -- a use: `RegistrationCache.get` -----------------------------------------------------------

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Look the page up; register it if there is nothing."""
        with atomic():
            was_stale = self.is_stale(page)
            kept = self.kept.read()
        if self.uffd.mmap_changing == 0:  # `Gate::ask`: the kernel first,
            if not self.working:  # then the monitor
                found = self.pieces[page]
                if found is None:
                    self.miss(page)
                else:
                    require(
                        "no_stale_translation",
                        not was_stale or self.kept.read() != kept,
                        "a lookup finds a registration that was stale when it began",
                    )
        raise EFAULT  # the device keeps nothing: it looks up again before its next use

    def miss(self, page: int) -> None:
        """`RegistrationCache._register`: reserve, watch, ask the device, commit."""
        with atomic():
            generation = self.generation.read()
            closed = (
                self.sections[page].open > 0 or self.tombs[page]
            )  # it may be over by the commit
        with self.mm.mmap_lock.write:  # no operation is half over
            if not self.mm.vma[page]:
                raise EFAULT
            self.uffd.watched[page] = True
        frame = self.mm.get_user_page(page, True)  # the device
        with atomic():
            if self.generation.read() == generation and not closed:
                self.pieces[page] = frame
                self.kept.bump()
        frame.put()

    def walk(self, page: int) -> Frame | None:
        """The device has no table: what it uses is what `get` has returned."""
        return None


class Watched(Operation):
    """An operation by hand, on memory that may be watched: nobody calls the hooks."""

    frames = 1

    def __init__(self, mm: Mm, page: int | None = None) -> None:
        super().__init__(mm, page)
        self.tlb = MmuGather(mm)
        self.driver: Any = mm.drivers[0]  # whose userfaultfd it is

    def zap(self, page: int) -> None:
        """Clear the entry and free what it mapped."""
        rng = PageRange(page)
        driver = self.driver
        with atomic():
            driver.zapping += 1
        self.tlb.zap(rng)
        self.tlb.finish(rng)

    def returned(self) -> None:
        """The system call is over, and everybody may know what it did (a ghost)."""
        driver = self.driver
        with atomic():
            driver.zapping -= 1


class UnmapWatched(Watched):
    """munmap(): told after the change, and after `mmap_lock` is dropped.

    Sequence: mmap_changing; clear; flush; free; event; wait for its read.
    """

    name = "unmap_watched"
    function = "userfaultfd_unmap_complete"

    def run(self) -> None:
        """Unmap one page."""
        mm, page = self.mm, self.pick()
        driver = self.driver
        with mm.mmap_lock.write:
            told = driver.uffd.watched[page]
            if told:
                driver.uffd.begin()
            mm.vma[page] = False
            driver.uffd.watched[page] = False
            self.zap(page)
        if told:
            driver.uffd.event(page, Event.UNMAP)
        self.returned()


class DiscardWatched(Watched):
    """madvise(MADV_DONTNEED): told before the change, with `mmap_lock` dropped meanwhile.

    Sequence: mmap_changing; event; wait for its read; clear; flush; free.
    """

    name = "discard_watched"
    function = "userfaultfd_remove"

    def run(self) -> None:
        """Drop what is in one page."""
        mm, page = self.mm, self.pick()
        driver = self.driver
        mm.mmap_lock.down_read()
        told = driver.uffd.watched[page]
        if told:
            with atomic():
                driver.discarding += 1
            driver.uffd.begin()
            mm.mmap_lock.up_read()
            driver.uffd.event(page, Event.CLEAR)
            mm.mmap_lock.down_read()
        self.zap(page)
        mm.mmap_lock.up_read()
        self.returned()
        if told:
            with atomic():
                driver.discarding -= 1


class MapAgain(Operation):
    """mmap() by another thread, at the same address as soon as it is free; then a write to it."""

    name = "map_again"
    function = "mmap_region"
    frames = 1

    def run(self) -> None:
        """Map one page, and touch it."""
        mm, page = self.mm, self.pick()
        with mm.mmap_lock.write:
            free = not mm.vma[page]
            mm.vma[page] = True
        if free:
            try:
                mm.get_user_page(page, True).put()
            except EFAULT:
                return
            except ENOMEM:
                return
