"""`RwLock`: readers together, a writer alone, nobody sleeps."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, reached, verdict

from mmunotify.lang import Counter, Mutex, RwLock, atomic


class Shelf:
    def __init__(self) -> None:
        self.lock = RwLock()
        self.mutex = Mutex()
        self.readers = Counter(high=2)
        self.writers = Counter(high=1)

    def read(self) -> None:
        with self.lock.read:
            with atomic():
                self.readers += 1
            with atomic():
                self.readers -= 1

    def read_twice(self) -> None:
        with self.lock.read:
            with self.lock.read:
                with atomic():
                    self.readers += 1
                with atomic():
                    self.readers -= 1

    def write(self) -> None:
        with self.lock.write:
            self.writers += 1
            self.writers -= 1

    def sleep(self) -> None:
        with self.lock.read:
            with self.mutex:
                self.readers.set(0)

    def exclusive(self) -> bool:
        return self.writers == 0 or self.readers == 0

    def together(self) -> bool:
        return self.readers == 2


def test_readers_share_and_writers_exclude() -> None:
    def build() -> Small:
        shelf = Shelf()
        return Small(
            [shelf.read, shelf.read_twice, shelf.write],
            [("idle", shelf.lock.quiescent)],
            always={"exclusive": shelf.exclusive},
            reachable={"together": shelf.together},
        )

    assert verdict(build) == HOLDS
    assert reached(build) == {"together"}


def test_a_reader_does_not_sleep() -> None:
    assert verdict(lambda: Small([Shelf().sleep])) == "context"
