"""`Rcu`: read sections that nobody waits to enter, and grace periods (`rcu_read_lock`).

Invariant: when `synchronize` returns, every read section that had begun before it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmunotify.lang.counter import Counter
from mmunotify.lang.intrinsics import current, might_sleep, require, wait_until
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread

__all__ = ["Rcu", "Reader"]


class Reader:
    """One thread's read sections: how deep they nest. Only the thread itself changes it."""

    def __init__(self) -> None:
        self.nesting = Counter(high=3)


class Rcu:
    """Read-copy-update. `with rcu:` is a read section; a reader is in atomic context."""

    def __init__(self) -> None:
        self.threads: tuple[Thread, ...] = ()
        self.readers: Table[Reader] = Table(())

    def attach(self, threads: Iterable[Thread]) -> None:
        """Give every thread of a world its place; part of set-up."""
        self.threads = tuple(threads)
        self.readers = Table(self.threads)
        for thread in self.threads:
            self.readers[thread] = Reader()

    def read_lock(self) -> None:
        """Begin a read section (`rcu_read_lock`); sections nest."""
        current().preempt_count += 1
        reader = self.readers[current()]
        reader.nesting += 1

    def read_unlock(self) -> None:
        """End a read section (`rcu_read_unlock`)."""
        reader = self.readers[current()]
        reader.nesting -= 1
        current().preempt_count -= 1

    def synchronize(self) -> None:
        """Wait until every reader that is there now has left (`synchronize_rcu`).

        One after another is enough: a reader that was gone when its turn came is a new one if it
        is back.
        """
        might_sleep()
        mine = self.readers[current()]
        require("no_deadlock", mine.nesting == 0, "a reader waits for itself to leave")
        for thread in self.threads:
            reader = self.readers[thread]
            # Queued: it is for those who are there now, and later ones do not keep it waiting.
            wait_until(lambda: reader.nesting == 0, queued=True)  # noqa: B023  in this round

    def __enter__(self) -> None:
        self.read_lock()

    def __exit__(self, *_: object) -> None:
        self.read_unlock()

    def quiescent(self) -> bool:
        """Tell whether nobody reads."""
        return all(self.readers[thread].nesting == 0 for thread in self.threads)
