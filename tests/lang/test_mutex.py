"""`Mutex`: one owner at a time, who alone may release it and may not sleep for it himself."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Counter, Mutex, SpinLock, atomic


class Room:
    def __init__(self) -> None:
        self.mutex = Mutex()
        self.spin = SpinLock()
        self.inside = Counter(high=1)

    def visit(self) -> None:
        with self.mutex:
            self.inside += 1
            self.inside -= 1

    def visit_if_free(self) -> None:
        if self.mutex.try_acquire():
            self.inside += 1
            self.inside -= 1
            self.mutex.release()

    def intrude(self) -> None:
        with atomic():
            self.inside += 1
        with atomic():
            self.inside -= 1

    def take_twice(self) -> None:
        with self.mutex:
            with self.mutex:
                self.inside.set(0)

    def release_only(self) -> None:
        self.mutex.release()

    def sleep_while_spinning(self) -> None:
        with self.spin:
            with self.mutex:
                self.inside.set(0)


def test_one_at_a_time() -> None:
    def build() -> Small:
        room = Room()
        return Small([room.visit, room.visit, room.visit_if_free], [("idle", room.mutex.quiescent)])

    assert verdict(build) == HOLDS


def test_somebody_without_the_mutex_is_noticed() -> None:
    def build() -> Small:
        room = Room()
        return Small([room.visit, room.intrude])

    assert verdict(build) == "bounds"


def test_the_holder_cannot_take_it_again() -> None:
    assert verdict(lambda: Small([Room().take_twice])) == "no_deadlock"


def test_only_the_owner_releases() -> None:
    def build() -> Small:
        room = Room()
        return Small([room.visit, room.release_only])

    assert verdict(build) == "no_deadlock"


def test_nobody_sleeps_with_a_spinlock_held() -> None:
    assert verdict(lambda: Small([Room().sleep_while_spinning])) == "context"
