"""`Queue`: first in, first out, with a fixed capacity (`kfifo`, a work queue's list).

Invariant: `slots[0]` to `slots[length - 1]` are the elements, oldest first; the rest is None.
"""

from __future__ import annotations

from typing import Any

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import atomic, require, wait_until
from mmunotify.lang.table import Table

__all__ = ["Queue"]


class Queue:
    """A queue of at most `capacity` elements, none of them None; each operation is one step."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.slots: Table[Any] = Table(range(capacity))
        self.length = Counter(high=capacity)

    def put(self, element: Any) -> None:
        """Append `element`; a full queue is a violation of `bounds`."""
        with atomic():
            require("bounds", self.length < self.capacity, "the queue is full")
            self.slots[self.length.read()] = element
            self.length += 1

    def get(self) -> Any:
        """Wait for an element and take the oldest one."""
        with atomic():
            wait_until(lambda: self.length > 0)
            first = self.slots[0]
            for n in range(self.capacity - 1):
                self.slots[n] = self.slots[n + 1]
            self.slots[self.capacity - 1] = None
            self.length -= 1
            return first

    def empty(self) -> bool:
        """Tell whether nothing is queued."""
        return self.length == 0

    def full(self) -> bool:
        """Tell whether nothing more can be queued."""
        return self.length == self.capacity
