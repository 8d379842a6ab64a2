"""`Mutex`: one owner, waiters sleep (`struct mutex`).

Invariant: `owner` is the thread between its `acquire` and `release`, else None.
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic, current, might_sleep, require, wait_until
from mmunotify.lang.thread import Thread

__all__ = ["Mutex"]


class Mutex:
    """A lock that is slept for. Its holder may sleep too."""

    def __init__(self) -> None:
        self.owner: Thread | None = None

    def acquire(self) -> None:
        """Wait until nobody holds the mutex and take it (`mutex_lock`)."""
        might_sleep()
        with atomic():
            require(
                "no_deadlock", self.owner is not current(), "recursion: the holder takes it again"
            )
            wait_until(lambda: self.owner is None, queued=True)
            self.owner = current()

    def try_acquire(self) -> bool:
        """Take the mutex if nobody holds it and tell whether that was so (`mutex_trylock`)."""
        with atomic():
            if self.owner is not None:
                return False
            self.owner = current()
            return True

    def release(self) -> None:
        """Give the mutex back (`mutex_unlock`); only its owner may."""
        with atomic():
            require("no_deadlock", self.owner is current(), "released by a thread not its owner")
            self.owner = None

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def quiescent(self) -> bool:
        """Tell whether nobody holds the mutex."""
        return self.owner is None
