"""`Queue`: first in, first out; waits when empty, a violation when full."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Queue, require


class Item:
    def __init__(self, name: str) -> None:
        self.name = name


class Belt:
    def __init__(self, capacity: int = 2) -> None:
        self.queue = Queue(capacity)
        self.first = Item("first")
        self.second = Item("second")

    def produce(self) -> None:
        self.queue.put(self.first)
        self.queue.put(self.second)

    def consume(self) -> None:
        require("order", self.queue.get() is self.first, "overtaken")
        require("order", self.queue.get() is self.second, "overtaken")
        require("empty", self.queue.empty() and not self.queue.full(), "something is left")

    def produce_one(self) -> None:
        self.queue.put(self.first)

    def consume_one(self) -> None:
        self.queue.get()


def test_order_is_kept() -> None:
    def build() -> Small:
        belt = Belt()
        return Small([belt.produce, belt.consume])

    assert verdict(build) == HOLDS


def test_a_full_queue_is_a_violation() -> None:
    assert verdict(lambda: Small([Belt(1).produce])) == "bounds"


def test_an_empty_queue_blocks() -> None:
    def build() -> Small:
        belt = Belt()
        return Small([belt.produce_one, belt.consume_one, belt.consume_one])

    assert verdict(build) == "no_deadlock"
