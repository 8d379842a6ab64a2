"""`RecursiveRwSem`: readers and the writer may come back; they still exclude each other."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, verdict

from mmunotify.lang import Counter, RecursiveRwSem, atomic


class Shelf:
    def __init__(self) -> None:
        self.sem = RecursiveRwSem()
        self.readers = Counter(high=2)
        self.writers = Counter(high=1)

    def read_twice(self) -> None:
        with self.sem.read:
            with self.sem.read:
                with atomic():
                    self.readers += 1
                with atomic():
                    self.readers -= 1

    def write_twice(self) -> None:
        with self.sem.write:
            with self.sem.write:
                self.writers += 1
                self.writers -= 1

    def exclusive(self) -> bool:
        return self.writers == 0 or self.readers == 0


def test_recursion_is_no_deadlock() -> None:
    def build() -> Small:
        shelf = Shelf()
        return Small(
            [shelf.read_twice, shelf.read_twice, shelf.write_twice],
            [("idle", shelf.sem.quiescent)],
            always={"exclusive": shelf.exclusive},
        )

    assert verdict(build) == HOLDS
