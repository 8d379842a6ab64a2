"""A registration cache: pinned pages kept for the next use, dropped when the memory changes.

`mmunotify.live.registration_cache` and the table in `native/monitor` under explicit operations; how
a monitor that reports late is waited for is in `event_ring`. A miss is a device's fault, a hit its
walk. Invariant: a slot that is found by a lookup was registered after the last section over its
page; one that nobody finds is deregistered when its last user has left.
"""

from __future__ import annotations

from mmunotify.lang import (
    EFAULT,
    ENOMEM,
    RETRY,
    Counter,
    Driver,
    Epoch,
    FaultResult,
    PageRange,
    SpinLock,
    Table,
    require,
)
from mmunotify.primary.frame import Frame, Owner
from mmunotify.primary.mm import Mm

__all__ = ["RegistrationCache", "Slot"]


class Slot:
    """A place for one registration (`Table::Slot`).

    `taken`: from `reserve` to `forget`. `live`: lookups find it. `frame` is what the device has
    pinned, with a reference.
    """

    def __init__(self) -> None:
        self.taken = False
        self.live = False
        self.users = Counter(high=7)
        self.frame: Frame | None = None


class Sections:
    """How many sections are open over a page (`Sections::open_`)."""

    def __init__(self) -> None:
        self.open = Counter(high=7)


class RegistrationCache(Driver):
    """The registrations of a device that pins: `capacity` of them, one page each."""

    def __init__(self, mm: Mm, capacity: int = 2) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.slots = tuple(Slot() for _ in range(capacity))
        self.pieces: Table[Slot | None] = Table(mm.pages)  # what lookups find
        self.sections: Table[Sections] = Table(mm.pages)
        for page in mm.pages:
            self.sections[page] = Sections()
        self.generation = Epoch()  # bumped by every invalidation

    # -- sections -------------------------------------------------------------------------------

    def invalidate_range_start(self, rng: PageRange) -> None:
        """`Space::begin`: from now on nobody finds what is there, and nobody keeps anything."""
        with self.lock:
            for page in rng:
                here = self.sections[page]
                here.open += 1
                self.drop(page)
            self.generation.bump()
            self.tlb.flush_range(rng)

    def invalidate_range_end(self, rng: PageRange) -> None:
        """`Space::end`."""
        with self.lock:
            for page in rng:
                here = self.sections[page]
                here.open -= 1
        self.reap()

    def release(self) -> None:
        """The address space closes: `RegistrationCache.lapse`."""
        with self.lock:
            for page in self.mm.pages:
                self.drop(page)
            self.generation.bump()
            self.tlb.flush()
        self.reap()

    def drop(self, page: int) -> None:
        """Have a page found no more (`Table::kill`); the lock is held."""
        slot = self.pieces[page]
        self.pieces[page] = None
        if slot is not None:
            slot.live = False

    # -- a miss ---------------------------------------------------------------------------------

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """`RegistrationCache.get`: find or register, use, release."""
        slot = self.hit(page)
        if slot is None:
            slot = self.miss(page)
        if slot is None:
            return RETRY
        frame = slot.frame
        require(
            "no_stale_translation",
            frame is not None and frame.owner is not Owner.FREE,
            "the pages of a registration are free while it is in use",
        )
        self.leave(slot)
        return None

    def hit(self, page: int) -> Slot | None:
        """Look up, and count the user in the same breath (`Table::hit`)."""
        with self.lock:
            slot = self.pieces[page]
            if slot is not None:
                slot.users += 1
        return slot

    def miss(self, page: int) -> Slot | None:
        """Reserve, ask the device, commit; None: something came between."""
        with self.lock:
            slot = self.reserve()
            generation = self.generation.read()
            closed = self.sections[page].open > 0
        if slot is None:
            raise ENOMEM
        try:
            slot.frame = self.mm.get_user_page(page, True)
        except EFAULT:
            self.forget(slot)
            raise
        except ENOMEM:
            self.forget(slot)
            raise
        with self.lock:
            current = self.generation.read() == generation and not closed
            kept = current and self.sections[page].open == 0 and self.pieces[page] is None
            if kept:
                self.pieces[page] = slot
                slot.live = True
        if kept:
            return slot
        self.retire(slot)  # nobody has found it
        return None

    def reserve(self) -> Slot | None:
        """Take a slot that nobody has, with its first user; the lock is held."""
        for slot in self.slots:
            if not slot.taken:
                slot.taken = True
                slot.users += 1
                return slot
        return None

    def leave(self, slot: Slot) -> None:
        """A user leaves; the last one of a dead slot deregisters it (`Table::leave`)."""
        with self.lock:
            slot.users -= 1
            last = slot.users == 0 and not slot.live
            if last:
                slot.users += 1  # nobody else takes it for dead (`State::reaped`)
        if last:
            self.retire(slot)

    # -- dead slots -----------------------------------------------------------------------------

    def reap(self) -> None:
        """Deregister what nobody finds and nobody uses (`RegistrationCache.reap`)."""
        for slot in self.slots:
            with self.lock:
                mine = slot.taken and not slot.live and slot.users == 0
                if mine:
                    slot.users += 1  # `State::reaped`
            if mine:
                self.retire(slot)

    def retire(self, slot: Slot) -> None:
        """Have the device unpin, then give the slot back."""
        frame = slot.frame
        if frame is not None:
            slot.frame = None
            frame.put()
        self.forget(slot)

    def forget(self, slot: Slot) -> None:
        """Give a slot back (`Table::forget`)."""
        with self.lock:
            slot.users.set(0)
            slot.taken = False

    def walk(self, page: int) -> Frame | None:
        """What the device reaches by a registration that lookups find."""
        slot = self.pieces[page]
        return None if slot is None else slot.frame
