"""`SpinLock`: one owner, no sleeping while held (`spinlock_t`).

Invariant: `owner` is the thread between its `acquire` and `release`, else None.
"""

from __future__ import annotations

from mmunotify.lang.intrinsics import atomic, current, require, wait_until
from mmunotify.lang.thread import Thread

__all__ = ["SpinLock"]


class SpinLock:
    """A lock that is spun for. Its holder is in atomic context."""

    def __init__(self) -> None:
        self.owner: Thread | None = None

    def acquire(self) -> None:
        """Wait until nobody holds the lock and take it (`spin_lock`)."""
        current().preempt_count += 1
        with atomic():
            require(
                "no_deadlock", self.owner is not current(), "recursion: the holder takes it again"
            )
            wait_until(lambda: self.owner is None, queued=True)
            self.owner = current()

    def release(self) -> None:
        """Give the lock back (`spin_unlock`); only its owner may."""
        with atomic():
            require("no_deadlock", self.owner is current(), "released by a thread not its owner")
            self.owner = None
        current().preempt_count -= 1

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def quiescent(self) -> bool:
        """Tell whether nobody holds the lock."""
        return self.owner is None
