"""Drivers for the tests of the Python interface: one that is right, and variants of it."""

from __future__ import annotations

from mmunotify import (
    RETRY,
    Counter,
    Driver,
    FaultResult,
    PageRange,
    SpinLock,
    Table,
    always,
    never,
    reachable,
)
from mmunotify.primary import Frame, Mm

__all__ = ["Forgetful", "NeverReached", "OwnAlways", "OwnNever", "Right", "Worried"]


class Right(Driver):
    """A table under one lock, retried by counter and sequence."""

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.lock = SpinLock()
        self.spte: Table[Frame | None] = Table(mm.pages)
        self.seq = Counter()
        self.open = Counter()

    def invalidate_range_start(self, rng: PageRange) -> None:
        """Drop translations."""
        with self.lock:
            self.open += 1
            for page in rng:
                self.spte[page] = None
            self.tlb.flush()

    def invalidate_range_end(self, rng: PageRange) -> None:
        """End the section."""
        with self.lock:
            self.seq += 1
            self.open -= 1

    def fault(self, page: int, write: bool) -> FaultResult | None:
        """Make a translation."""
        seq = self.seq.read()
        frame = self.mm.get_user_page(page, write)
        with self.lock:
            stale = self.is_stale(seq)
            if not stale:
                self.spte[page] = frame
        frame.put()
        return RETRY if stale else None

    def is_stale(self, seq: int) -> bool:
        """Tell whether a section is open or has ended since."""
        return self.open > 0 or self.seq.read() != seq


class Forgetful(Right):
    """Without its retry check."""

    def is_stale(self, seq: int) -> bool:
        """Never."""
        return False


class Worried(Right):
    """With properties of its own that hold, and goals that are reached."""

    @always
    def at_most_one_section(self) -> bool:
        """One operation has one section at a time."""
        return self.open == 0 or self.open == 1

    @never
    def counted_to_five(self) -> bool:
        """Nobody counts that far."""
        return self.open == 5

    @reachable
    def section_open(self) -> bool:
        """There is a section at all."""
        return self.open == 1


class OwnAlways(Right):
    """With a property that does not hold in every state."""

    @always
    def untouched(self) -> bool:
        """False once a section was open."""
        return self.open == 0


class OwnNever(Right):
    """With a state that must not be, and is."""

    @never
    def translates(self) -> bool:
        """True once there is a translation."""
        return any(self.spte[page] is not None for page in self.mm.pages)


class NeverReached(Right):
    """With one goal that is reached in one scenario only, and one that never is."""

    @reachable
    def two_sections(self) -> bool:
        """Two operations at once."""
        return self.open == 2

    @reachable
    def nine_sections(self) -> bool:
        """More operations than there are."""
        return self.open == 9
