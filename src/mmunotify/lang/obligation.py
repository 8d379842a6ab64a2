"""`Obligation`: what a thread has begun and must end; the property `progress` is about these.

    def __init__(self, mm):
        self.update = Obligation("memslot update")

    def commit(self):
        with self.update:  # or begin() and end(), within any atomic() block
            ...

Invariant: what is pending is seen by `progress` only; where nobody watches it is no state and costs
no step.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmunotify.lang.intrinsics import current
from mmunotify.lang.table import Table
from mmunotify.lang.thread import Thread

__all__ = ["Obligation", "Pending"]


class Pending:
    """Whether one thread has begun it and not ended it (a ghost)."""

    def __init__(self) -> None:
        self.begun = False

    def is_pending(self) -> bool:
        """Tell whether it is begun."""
        return self.begun


class Obligation:
    """Something with a `name` that every thread which begins it must end.

    `progress` is violated where one of them can stay pending for ever although every thread is
    treated fairly. It is not nested: to begin it again before its end changes nothing.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.watched = False
        self.by_thread: Table[Pending] = Table(())

    def attach(self, threads: Iterable[Thread]) -> None:
        """Give every thread of a world its part; part of set-up."""
        threads = tuple(threads)
        self.by_thread = Table(threads)
        for thread in threads:
            self.by_thread[thread] = Pending()

    def begin(self) -> None:
        """From now on the running thread has to come to the end."""
        if self.watched:
            mine = self.by_thread[current()]
            mine.begun = True

    def end(self) -> None:
        """The running thread has come to the end."""
        if self.watched:
            mine = self.by_thread[current()]
            mine.begun = False

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_: object) -> None:
        self.end()
