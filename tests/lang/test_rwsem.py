"""`RwSem`: readers together, a writer alone, and no reader overtakes a waiting writer."""

from __future__ import annotations

from tests.lang.small import HOLDS, Small, reached, verdict

from mmunotify.lang import Counter, RwSem, atomic


class Shelf:
    def __init__(self) -> None:
        self.sem = RwSem()
        self.readers = Counter(high=2)
        self.writers = Counter(high=1)

    def read(self) -> None:
        with self.sem.read:
            with atomic():
                self.readers += 1
            with atomic():
                self.readers -= 1

    def write(self) -> None:
        with self.sem.write:
            self.writers += 1
            self.writers -= 1

    def write_then_read(self) -> None:
        self.sem.down_write()
        self.writers += 1
        self.writers -= 1
        self.sem.downgrade_write()
        with atomic():
            self.readers += 1
        with atomic():
            self.readers -= 1
        self.sem.up_read()

    def read_inside_read(self) -> None:
        with self.sem.read:
            with self.sem.read:
                self.readers.set(0)

    def read_if_free(self) -> None:
        if self.sem.down_read_trylock():
            with atomic():
                self.readers += 1
            with atomic():
                self.readers -= 1
            self.sem.up_read()

    def read_while_writing(self) -> None:
        with self.sem.write:
            with self.sem.read:
                self.readers.set(0)

    def exclusive(self) -> bool:
        return self.writers == 0 or self.readers == 0

    def together(self) -> bool:
        return self.readers == 2


def test_readers_share_and_writers_exclude() -> None:
    def build() -> Small:
        shelf = Shelf()
        return Small(
            [shelf.read, shelf.read, shelf.write],
            [("idle", shelf.sem.quiescent)],
            always={"exclusive": shelf.exclusive},
            reachable={"together": shelf.together},
        )

    assert verdict(build) == HOLDS
    assert reached(build) == {"together"}


def test_two_writers_and_a_downgrade() -> None:
    def build() -> Small:
        shelf = Shelf()
        return Small(
            [shelf.write, shelf.write_then_read, shelf.read_if_free],
            [("idle", shelf.sem.quiescent)],
            always={"exclusive": shelf.exclusive},
        )

    assert verdict(build) == HOLDS


def test_a_waiting_writer_holds_off_a_reader_that_reads_already() -> None:
    """Reading twice is no deadlock alone, and one as soon as a writer waits in between."""

    def build(writers: int) -> Small:
        shelf = Shelf()
        return Small([shelf.read_inside_read, *[shelf.write] * writers])

    assert verdict(lambda: build(0)) == HOLDS
    assert verdict(lambda: build(1)) == "no_deadlock"


def test_a_writer_cannot_read() -> None:
    assert verdict(lambda: Small([Shelf().read_while_writing])) == "no_deadlock"
