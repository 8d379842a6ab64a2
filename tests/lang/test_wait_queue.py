"""`WaitQueue` and `Completion`: who waits is woken, unless that is forgotten or too early."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Completion, WaitQueue, require


class Door:
    def __init__(self) -> None:
        self.queue = WaitQueue()
        self.open = False
        self.completion = Completion()

    def pass_through(self) -> None:
        since = self.queue.prepare()
        while not self.open:
            self.queue.sleep(since)
            since = self.queue.prepare()

    def look_before_prepare(self) -> None:
        if not self.open:
            self.queue.sleep(self.queue.prepare())

    def open_and_wake(self) -> None:
        self.open = True
        self.queue.wake_up_all()

    def open_only(self) -> None:
        self.open = True

    def wait(self) -> None:
        self.completion.wait()
        require("order", self.open, "woken before it was done")

    def finish(self) -> None:
        self.open = True
        self.completion.complete()


def test_everybody_is_woken() -> None:
    def build() -> Small:
        door = Door()
        return Small([door.pass_through, door.pass_through, door.open_and_wake])

    assert verdict(build) == HOLDS


def test_a_forgotten_wake_up_is_a_deadlock() -> None:
    def build() -> Small:
        door = Door()
        return Small([door.pass_through, door.open_only])

    assert verdict(build) == "no_deadlock"


def test_a_wake_up_between_look_and_sleep_is_lost() -> None:
    def build() -> Small:
        door = Door()
        return Small([door.look_before_prepare, door.open_and_wake])

    assert verdict(build) == "no_deadlock"


def test_completion() -> None:
    def build(waiters: int) -> Small:
        door = Door()
        return Small([*[door.wait] * waiters, door.finish])

    assert verdict(lambda: build(1)) == HOLDS
    assert verdict(lambda: build(2)) == "no_deadlock"  # one `complete` lets one waiter go on
