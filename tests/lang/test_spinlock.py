"""`SpinLock`: mutual exclusion, no recursion, no foreign release, no sleep."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Counter, SpinLock, might_sleep


class Room:
    def __init__(self) -> None:
        self.one = SpinLock()
        self.two = SpinLock()
        self.inside = Counter(high=1)

    def visit(self) -> None:
        with self.one:
            self.inside += 1
            self.inside -= 1

    def one_then_two(self) -> None:
        with self.one:
            with self.two:
                self.inside.set(0)

    def two_then_one(self) -> None:
        with self.two:
            with self.one:
                self.inside.set(0)

    def take_twice(self) -> None:
        with self.one:
            with self.one:
                self.inside.set(0)

    def release_only(self) -> None:
        self.one.release()

    def sleep(self) -> None:
        with self.one:
            might_sleep()


def test_one_at_a_time() -> None:
    def build() -> Small:
        room = Room()
        return Small([room.visit] * 3, [("idle", room.one.quiescent)])

    assert verdict(build) == HOLDS


def test_opposite_orders_deadlock() -> None:
    def build() -> Small:
        room = Room()
        return Small([room.one_then_two, room.two_then_one])

    assert verdict(build) == "no_deadlock"


def test_misuse() -> None:
    assert verdict(lambda: Small([Room().take_twice])) == "no_deadlock"
    assert verdict(lambda: Small([Room().release_only])) == "no_deadlock"
    assert verdict(lambda: Small([Room().sleep])) == "context"
