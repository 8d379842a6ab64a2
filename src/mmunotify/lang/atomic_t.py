"""`AtomicT`: an int whose read-modify-write operations are one step each (`atomic_t`).

Invariant: the value stays in `0..high`; a plain `Counter` is counted in two steps, a read and a
write, so that updates can be lost.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic

__all__ = ["AtomicT"]


class AtomicT:
    """An int that threads change without a lock."""

    def __init__(self, start: int = 0, high: int = 7) -> None:
        self.counter = Counter(start, high)

    def read(self) -> int:
        """The value now (`atomic_read`)."""
        return self.counter.read()

    def set(self, value: int) -> None:
        """Set the value (`atomic_set`)."""
        self.counter.set(value)

    def inc(self) -> None:
        """Count up (`atomic_inc`)."""
        with atomic():
            self.counter += 1

    def dec(self) -> None:
        """Count down (`atomic_dec`)."""
        with atomic():
            self.counter -= 1

    def inc_return(self) -> int:
        """Count up and return the new value (`atomic_inc_return`)."""
        with atomic():
            self.counter += 1
            return self.counter.read()

    def dec_and_test(self) -> bool:
        """Count down; True if that made it 0 (`atomic_dec_and_test`)."""
        with atomic():
            self.counter -= 1
            return self.counter == 0

    def inc_not_zero(self) -> bool:
        """Count up unless 0; tell whether that was done (`atomic_inc_not_zero`)."""
        with atomic():
            if self.counter == 0:
                return False
            self.counter += 1
            return True

    def cmpxchg(self, old: int, new: int) -> bool:
        """Set `new` if the value is `old`; tell whether it was (`atomic_try_cmpxchg`)."""
        with atomic():
            if self.counter != old:
                return False
            self.counter.set(new)
            return True
