"""`RwSem`: many readers or one writer, waiters sleep (`struct rw_semaphore`).

Invariant: while `owner` is a thread, `readers` is 0. Fair: a waiting writer holds off new readers,
so a reader that takes the lock again while a writer waits blocks for ever.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, current, might_sleep, require, wait_until
from mmunotify.lang.thread import Thread

__all__ = ["ReadSide", "RwSem", "WriteSide"]


class ReadSide:
    """`with sem.read:` holds the semaphore for reading."""

    def __init__(self, sem: RwSem) -> None:
        self.sem = sem

    def __enter__(self) -> None:
        self.sem.down_read()

    def __exit__(self, *_: object) -> None:
        self.sem.up_read()


class WriteSide:
    """`with sem.write:` holds the semaphore for writing."""

    def __init__(self, sem: RwSem) -> None:
        self.sem = sem

    def __enter__(self) -> None:
        self.sem.down_write()

    def __exit__(self, *_: object) -> None:
        self.sem.up_write()


class RwSem:
    """A reader/writer lock that is slept for."""

    def __init__(self, high: int = 7) -> None:
        self.owner: Thread | None = None
        self.readers = Counter(high=high)
        self.waiting = Counter(high=high)  # writers
        self.read = ReadSide(self)
        self.write = WriteSide(self)

    def down_read(self) -> None:
        """Wait until no writer holds the semaphore or waits for it (`down_read`)."""
        might_sleep()
        with atomic():
            require("no_deadlock", self.owner is not current(), "recursion: the writer reads")
            wait_until(lambda: self.owner is None and self.waiting == 0, queued=True)
            self.readers += 1

    def down_read_trylock(self) -> bool:
        """Take the semaphore for reading if that needs no waiting (`down_read_trylock`)."""
        with atomic():
            if self.owner is not None or self.waiting > 0:
                return False
            self.readers += 1
            return True

    def up_read(self) -> None:
        """Give a reader's hold back (`up_read`)."""
        with atomic():
            require("no_deadlock", self.readers > 0, "no reader holds it")
            self.readers -= 1

    def down_write(self) -> None:
        """Wait until nobody holds the semaphore; new readers queue behind (`down_write`)."""
        might_sleep()
        with atomic():
            require(
                "no_deadlock", self.owner is not current(), "recursion: the writer takes it again"
            )
            queued = self.owner is not None or self.readers > 0
            if queued:
                self.waiting += 1
            else:
                self.owner = current()
        if queued:
            with atomic():
                wait_until(lambda: self.owner is None and self.readers == 0, queued=True)
                self.waiting -= 1
                self.owner = current()

    def up_write(self) -> None:
        """Give the writer's hold back (`up_write`); only the writer may."""
        with atomic():
            require("no_deadlock", self.owner is current(), "released by a thread not its owner")
            self.owner = None

    def downgrade_write(self) -> None:
        """Turn the writer's hold into a reader's (`downgrade_write`)."""
        with atomic():
            require("no_deadlock", self.owner is current(), "downgraded by a thread not its owner")
            self.owner = None
            self.readers += 1

    def is_held(self) -> bool:
        """Tell whether anybody holds the semaphore (`rwsem_is_locked`); one step."""
        with atomic():
            return self.owner is not None or self.readers > 0

    def quiescent(self) -> bool:
        """Tell whether nobody holds the semaphore or waits for it."""
        return self.owner is None and self.readers == 0 and self.waiting == 0
