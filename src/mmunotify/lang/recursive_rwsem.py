"""`RecursiveRwSem`: a reader/writer lock that a reader may take again.

No counterpart in the kernel: it is the lock that the 2008 discussion asked for, taken in
range_begin and released in range_end. Invariant: while `owner` is a thread, nobody else reads.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, current, might_sleep, require, wait_until
from mmunotify.lang.rwsem import RwSem
from mmunotify.lang.thread import Thread

__all__ = ["RecursiveRwSem"]


class RecursiveRwSem(RwSem):
    """As `RwSem`, but a waiting writer does not hold off readers: a reader may read again.

    The price is the writer's: readers that overlap keep it out for ever. A writer may take the
    lock again too; `depth` counts its holds.
    """

    def __init__(self, high: int = 7) -> None:
        super().__init__(high)
        self.depth = Counter(high=high)

    def down_read(self) -> None:
        """Wait until no other thread writes."""
        might_sleep()
        with atomic():
            wait_until(lambda: self.owner is None, queued=True)
            self.readers += 1

    def down_write(self) -> None:
        """Wait until nobody else holds the lock."""
        might_sleep()
        with atomic():
            wait_until(
                lambda: self.readers == 0 and (self.owner is None or self.owner is current())
            )
            self.owner = current()
            self.depth += 1

    def up_write(self) -> None:
        """Give one of the writer's holds back."""
        with atomic():
            require("no_deadlock", self.owner is current(), "released by a thread not its owner")
            self.depth -= 1
            if self.depth == 0:
                self.owner: Thread | None = None
