"""`Completion`: one side waits until the other has done it (`struct completion`).

Invariant: `done` counts `complete` calls that no `wait` has used up.
"""

from __future__ import annotations

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, might_sleep, wait_until

__all__ = ["Completion"]


class Completion:
    """A count of things done; `high` of them at most are kept."""

    def __init__(self, high: int = 3) -> None:
        self.done = Counter(high=high)

    def wait(self) -> None:
        """Sleep until something is done and use it up (`wait_for_completion`)."""
        might_sleep()
        with atomic():
            wait_until(lambda: self.done > 0, queued=True)
            self.done -= 1

    def complete(self) -> None:
        """Let one waiter go on (`complete`)."""
        with atomic():
            self.done += 1
