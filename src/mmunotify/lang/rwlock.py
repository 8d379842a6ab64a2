"""`RwLock`: many readers or one writer, spun for (`rwlock_t`).

Invariant: while `owner` is a thread, `readers` is 0. Readers are preferred: a reader may take the
lock again, and readers that overlap keep a writer out for ever.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, current, require, wait_until
from mmunotify.lang.thread import Thread

__all__ = ["ReadSide", "RwLock", "WriteSide"]


class ReadSide:
    """`with lock.read:` holds the lock for reading."""

    def __init__(self, lock: RwLock) -> None:
        self.lock = lock

    def __enter__(self) -> None:
        self.lock.read_lock()

    def __exit__(self, *_: object) -> None:
        self.lock.read_unlock()


class WriteSide:
    """`with lock.write:` holds the lock for writing."""

    def __init__(self, lock: RwLock) -> None:
        self.lock = lock

    def __enter__(self) -> None:
        self.lock.write_lock()

    def __exit__(self, *_: object) -> None:
        self.lock.write_unlock()


class RwLock:
    """A reader/writer lock that is spun for. Its holders are in atomic context."""

    def __init__(self, high: int = 7) -> None:
        self.owner: Thread | None = None
        self.readers = Counter(high=high)
        self.read = ReadSide(self)
        self.write = WriteSide(self)

    def read_lock(self) -> None:
        """Wait until no writer holds the lock (`read_lock`)."""
        current().preempt_count += 1
        with atomic():
            require("no_deadlock", self.owner is not current(), "recursion: the writer reads")
            wait_until(lambda: self.owner is None, queued=True)
            self.readers += 1

    def read_unlock(self) -> None:
        """Give a reader's hold back (`read_unlock`)."""
        with atomic():
            require("no_deadlock", self.readers > 0, "no reader holds it")
            self.readers -= 1
        current().preempt_count -= 1

    def write_lock(self) -> None:
        """Wait until nobody holds the lock (`write_lock`)."""
        current().preempt_count += 1
        with atomic():
            require(
                "no_deadlock", self.owner is not current(), "recursion: the holder takes it again"
            )
            wait_until(lambda: self.owner is None and self.readers == 0, queued=True)
            self.owner = current()

    def write_unlock(self) -> None:
        """Give the writer's hold back (`write_unlock`); only the writer may."""
        with atomic():
            require("no_deadlock", self.owner is current(), "released by a thread not its owner")
            self.owner = None
        current().preempt_count -= 1

    def quiescent(self) -> bool:
        """Tell whether nobody holds the lock."""
        return self.owner is None and self.readers == 0
