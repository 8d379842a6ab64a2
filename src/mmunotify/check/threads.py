"""Threads that drivers, protocols and address spaces declare by `@thread`.

Invariant: their order, and the names that threads have in reports, are the same in every run, and
no two threads of a world share a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mmunotify.check.reach import reachable_objects
from mmunotify.lang.driver import Driver
from mmunotify.lang.thread import Thread, is_daemon, is_thread
from mmunotify.primary.mm import Mm
from mmunotify.primary.notifiers import Notifiers

__all__ = ["own_threads", "renamed"]


def own_threads(drivers: Sequence[Driver], mm: Mm) -> Iterator[Thread]:
    """Yield a thread for each method with `@thread`, those of the drivers first."""
    for driver in drivers:
        yield from _declared([driver], _belongs_to(driver), "secondary")
    yield from _declared([mm.notifiers], _belongs_to(mm.notifiers), "primary")
    yield from _declared([mm], _belongs_to(mm), "primary")


def _belongs_to(owner: object) -> Callable[[Any], bool]:
    """Return what tells the parts of `owner` from the rest of the world."""

    def within(found: Any) -> bool:
        return found is owner or not isinstance(found, (Driver, Mm, Notifiers))

    return within


def _declared(roots: Iterable[Any], within: Callable[[Any], bool], mmu: str) -> Iterator[Thread]:
    for found in reachable_objects(roots, within):
        for name in dir(type(found)):
            method = getattr(type(found), name, None)
            if is_thread(method):
                body = getattr(found, name)
                yield Thread(name, body, daemon=is_daemon(method), role=name, mmu=mmu)


def renamed(threads: Iterable[Thread]) -> list[Thread]:
    """Number the second thread of a name and those after it."""
    found = list(threads)
    seen: dict[str, int] = {}
    for thread in found:
        name = thread.name
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            thread.name = f"{name}{seen[name]}"
    return found
