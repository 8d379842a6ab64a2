"""`WaitQueue`: threads that sleep until they are woken and a condition holds (`wait_queue_head_t`).

Invariant: a sleeper goes on only if somebody woke the queue after its `prepare`; a wake-up that is
forgotten shows as a deadlock.
"""

from __future__ import annotations

from mmunotify.lang.counter import Epoch
from mmunotify.lang.intrinsics import might_sleep, wait_until

__all__ = ["WaitQueue"]


class WaitQueue:
    """A queue to sleep on. `wait_event(queue, condition)` of the kernel is

    since = queue.prepare()
    while not condition:
        queue.sleep(since)
        since = queue.prepare()
    """

    def __init__(self) -> None:
        self.woken = Epoch()

    def prepare(self) -> int:
        """Note that wake-ups count from now on (`prepare_to_wait`)."""
        return self.woken.read()

    def sleep(self, since: int) -> None:
        """Sleep until somebody woke the queue after `prepare` returned `since` (`schedule`)."""
        might_sleep()
        wait_until(lambda: self.woken.read() != since)

    def wake_up_all(self) -> None:
        """Wake everybody who sleeps now (`wake_up_all`)."""
        self.woken.bump()
